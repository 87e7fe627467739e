//! The C programs: which there are, and their compilation.
//!
//! `c/<area>/<file>.c` is the program `<area>/<file>`; a file directly in `c/`
//! (`hello.c`) is an area of its own.
//! A line `ktest: timeout=SECONDS` in the source gives a whole program more
//! time; `ktest: flags=…` adds compiler flags; `ktest: cc=…` names a compiler
//! (for libraries that Debian has for glibc only). `c/demo/` holds programs that
//! people and flows use, which are no tests.

use crate::project;
use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::SystemTime;

/// Seconds a program may take on a slow, loaded machine.
const DEFAULT_TIMEOUT: u32 = 120;

/// One program.
#[derive(Clone, Debug)]
pub struct Program {
    /// `area/file`.
    pub name: String,
    /// Seconds until it is killed.
    pub timeout: u32,
    source: PathBuf,
    flags: Vec<String>,
    compiler: String,
}

impl Program {
    /// The directory that holds every compiled test program.
    pub fn bin_dir() -> PathBuf {
        project::target("user-tests/tests")
    }

    /// The compiled program.
    pub fn binary(&self) -> PathBuf {
        Self::bin_dir().join(&self.name)
    }

    fn new(name: String, source: PathBuf) -> Result<Self> {
        let text = String::from_utf8_lossy(&project::read(&source)?).into_owned();
        let option = |key: &str| {
            text.lines()
                .find_map(|l| Some(l.split_once("ktest: ")?.1.split_once(key)?.1))
                .map(|v| v.trim_end_matches("*/").trim().to_owned())
        };
        Ok(Self {
            timeout: match option("timeout=") {
                Some(v) => v.parse().with_context(|| format!("timeout in {name}"))?,
                None => DEFAULT_TIMEOUT,
            },
            flags: option("flags=")
                .map(|v| v.split_whitespace().map(str::to_owned).collect())
                .unwrap_or_default(),
            compiler: option("cc=").unwrap_or_else(|| "musl-gcc".to_owned()),
            name,
            source,
        })
    }

    fn compile(&self) -> Result<()> {
        let binary = self.binary();
        if let Some(dir) = binary.parent() {
            std::fs::create_dir_all(dir)?;
        }
        let status = Command::new(&self.compiler)
            .args(["-static", "-O1", "-s", "-Wall", "-Wextra", "-Werror"])
            .args(["-std=gnu11", "-D_GNU_SOURCE", "-pthread"])
            // Tests pass what no program should.
            .args(["-Wno-missing-field-initializers", "-Wno-nonnull"])
            .arg(format!("-DKT_NAME=\"{}\"", self.name))
            .arg("-I")
            .arg(source_dir().join("include"))
            // The kernel's own headers, behind those of the C library.
            .args(["-idirafter", "/usr/include"])
            .args(["-idirafter", "/usr/include/x86_64-linux-gnu"])
            .arg(&self.source)
            .arg("-o")
            .arg(&binary)
            .args(&self.flags)
            .status()
            .with_context(|| format!("start {} (scripts/setup installs it)", self.compiler))?;
        if !status.success() {
            let _ = std::fs::remove_file(&binary);
            bail!("{} does not compile", self.name);
        }
        Ok(())
    }

    fn is_stale(&self, headers: SystemTime) -> bool {
        let (Ok(built), Ok(written)) = (modified(&self.binary()), modified(&self.source)) else {
            return true;
        };
        built <= written || built <= headers
    }
}

/// The C sources.
pub fn source_dir() -> PathBuf {
    project::root().join("user-tests/c")
}

/// The first process of a test boot.
pub fn init() -> Result<Program> {
    Program::new("../init".to_owned(), source_dir().join("init.c"))
}

/// The program that measures system calls.
pub fn bench() -> Result<Program> {
    let source = project::root().join("user-tests/bench/bench.c");
    Program::new("../bench".to_owned(), source)
}

/// The program that draws the tree of namespaces, for the root file systems.
pub fn nstree() -> Result<Program> {
    let source = project::root().join("user-tests/rootfs/nstree.c");
    Program::new("../nstree".to_owned(), source)
}

/// The programs of the container exercises.
pub fn demo() -> Result<Vec<Program>> {
    let files = project::sorted(&source_dir().join("demo"))?;
    let programs = files
        .into_iter()
        .filter(|f| f.extension().is_some_and(|e| e == "c"));
    programs
        .map(|file| Program::new(format!("demo/{}", stem(&file)), file))
        .collect()
}

/// Every test program, by area and name.
pub fn all() -> Result<Vec<Program>> {
    let mut found = Vec::new();
    for entry in project::sorted(&source_dir())? {
        let name = stem(&entry);
        if entry.is_dir() && name != "include" && name != "demo" {
            for file in project::sorted(&entry)? {
                if file.extension().is_some_and(|e| e == "c") {
                    found.push(Program::new(format!("{name}/{}", stem(&file)), file)?);
                }
            }
        } else if entry.extension().is_some_and(|e| e == "c") && name != "init" {
            found.push(Program::new(format!("{name}/{name}"), entry)?);
        }
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(found)
}

/// Those that a filter names: `area`, `area/file`, `area/file:case`, joined by
/// commas; empty or `all` is everything. (`c/init.c` reads the same words.)
pub fn select(programs: &[Program], filter: &str) -> Result<Vec<Program>> {
    if filter.is_empty() || filter == "all" {
        return Ok(programs.to_vec());
    }
    let words: Vec<&str> = filter
        .split(',')
        .map(|word| word.split(':').next().unwrap_or(word))
        .collect();
    let matches =
        |word: &str, p: &Program| p.name == word || p.name.split('/').next().is_some_and(|area| area == word);
    for word in &words {
        if !programs.iter().any(|p| matches(word, p)) {
            bail!("no test is called {word:?}");
        }
    }
    Ok(programs
        .iter()
        .filter(|p| words.iter().any(|word| matches(word, p)))
        .cloned()
        .collect())
}

/// Compile what is out of date, on every CPU of the machine.
pub fn compile(programs: &[Program]) -> Result<()> {
    let mut headers = SystemTime::UNIX_EPOCH;
    let areas = project::sorted(&source_dir())?.into_iter().filter(|p| p.is_dir());
    for dir in areas.chain([project::root().join("user-tests/bench")]) {
        for file in project::sorted(&dir)? {
            if file.extension().is_some_and(|e| e == "h") {
                headers = headers.max(modified(&file)?);
            }
        }
    }
    let stale: Vec<&Program> = programs.iter().filter(|p| p.is_stale(headers)).collect();
    let next = AtomicUsize::new(0);
    let errors = Mutex::new(Vec::new());
    let workers = std::thread::available_parallelism().map_or(1, |n| n.get());
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                while let Some(program) = stale.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if let Err(error) = program.compile() {
                        errors.lock().expect("no worker panics").push(error);
                    }
                }
            });
        }
    });
    match errors.into_inner().expect("no worker panics").pop() {
        Some(error) => Err(error),
        None => Ok(()),
    }
}

fn modified(path: &Path) -> Result<SystemTime> {
    Ok(std::fs::metadata(path)?.modified()?)
}

fn stem(path: &Path) -> String {
    path.file_stem()
        .map(|s| s.to_string_lossy().into_owned())
        .unwrap_or_default()
}
