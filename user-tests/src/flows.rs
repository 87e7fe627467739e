//! Flows: command lines of unmodified programs, played on zcell and on Debian's Linux, their outputs compared.
//!
//! `flows/CHAPTER/NN-NAME.sh` is one flow; a chapter is one boot (chapter `card` with a network card). `#:` lines in
//! a script say what may differ: `vary REGEX` hides what matches, `drop REGEX` leaves lines out, `only REGEX` all
//! others, `numbers` hides every number, `unordered` compares sorted lines.

mod normal;

use crate::expectations::Target;
use crate::machine::{self, Machine};
use crate::{project, world};
use anyhow::{Result, bail};
use normal::Rules;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Longer than any flow may take, see `flows/init`.
const PATIENCE: Duration = Duration::from_secs(180);

/// The chapter whose guests have a network card, and what it is connected to: beside what QEMU's user network has
/// there is a server that sends back what it is sent.
const CARD_CHAPTER: &str = "card";
const CARD: &str = "user,guestfwd=tcp:10.0.2.100:7-cmd:cat";

/// What one flow printed, with its exit status as the last line.
struct Output {
    name: String,
    lines: Vec<String>,
}

/// Play the chapters that `filter` names (`CHAPTER` or `CHAPTER/NAME`, joined by commas; all if empty) on both
/// kernels, and print a table; an error if any output differs.
pub fn run(image: &Path, filter: &str, smp: u32, mem: &str) -> Result<()> {
    let dir = project::root().join("user-tests/flows");
    let linux = machine::linux()?;
    let (zcell_root, linux_root) = (world::initramfs(Target::Zcell)?, world::initramfs(Target::Linux)?);
    let mut same = 0;
    let mut different = Vec::new();
    for chapter in chapters(&dir, filter)? {
        let name = chapter
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let only = only(&chapter, &name, filter)?;
        let only = only.as_deref();
        println!("== {name}");
        // Both at once: neither is measured.
        let (ours, theirs) = std::thread::scope(|scope| {
            let ours = scope.spawn(|| play(Target::Zcell, image, &zcell_root, &name, only, smp, mem));
            let theirs = scope.spawn(|| play(Target::Linux, &linux, &linux_root, &name, only, smp, mem));
            (ours.join(), theirs.join())
        });
        let ours = ours.expect("no panic")?;
        let theirs = theirs.expect("no panic")?;
        for output in &theirs {
            let rules = Rules::read(&chapter.join(format!("{}.sh", output.name)))?;
            let zcell = ours.iter().find(|o| o.name == output.name);
            let differences = zcell.map_or_else(
                || vec!["did not run".to_owned()],
                |zcell| rules.compare(&output.lines, &zcell.lines),
            );
            let verdict = if differences.is_empty() {
                "same"
            } else {
                "different"
            };
            println!("   {verdict:<10} {}", output.name);
            for line in &differences {
                println!("              {line}");
            }
            if differences.is_empty() {
                same += 1;
            } else {
                different.push(format!("{name}/{}", output.name));
            }
        }
    }
    println!("\n{same} same, {} different", different.len());
    if !different.is_empty() || same == 0 {
        bail!("flows differ: {}", different.join(" "));
    }
    Ok(())
}

fn chapters(dir: &Path, filter: &str) -> Result<Vec<PathBuf>> {
    let wanted: Vec<&str> = filter
        .split(',')
        .filter_map(|w| w.split('/').next())
        .filter(|w| !w.is_empty())
        .collect();
    let found: Vec<_> = project::sorted(dir)?
        .into_iter()
        .filter(|p| p.is_dir())
        .filter(|p| wanted.is_empty() || wanted.iter().any(|w| p.ends_with(w)))
        .collect();
    if found.is_empty() {
        bail!("no chapter of flows is called {filter:?}");
    }
    Ok(found)
}

/// The scripts of a chapter that are wanted, joined by commas; `None`: all. Their numbers may be left out.
fn only(chapter: &Path, name: &str, filter: &str) -> Result<Option<String>> {
    if filter.is_empty() || filter.split(',').any(|word| word == name) {
        return Ok(None);
    }
    let mut found = Vec::new();
    let prefix = format!("{name}/");
    for wanted in filter.split(',').filter_map(|word| word.strip_prefix(&prefix)) {
        let scripts = project::sorted(chapter)?;
        let mut stems = scripts.iter().filter_map(|path| path.file_stem()?.to_str());
        match stems.find(|stem| *stem == wanted || stem.get(3..) == Some(wanted)) {
            Some(stem) => found.push(stem.to_owned()),
            None => bail!("no flow is called {prefix}{wanted}"),
        }
    }
    Ok(Some(found.join(",")))
}

/// Boot one kernel and take what the flows of a chapter print; the console is kept in `target/logs`.
fn play(
    target: Target,
    kernel: &Path,
    root: &Path,
    chapter: &str,
    only: Option<&str>,
    smp: u32,
    mem: &str,
) -> Result<Vec<Output>> {
    let one = only.map(|name| format!(" flow={name}")).unwrap_or_default();
    let machine = Machine {
        kernel: kernel.to_owned(),
        initrd: root.to_owned(),
        append: format!("console=ttyS0 panic=-1 quiet loglevel=1 rdinit=/flows/init flows={chapter}{one}"),
        smp,
        mem: mem.to_owned(),
        accel: machine::accel()?,
        icount: false,
    };
    let guest = match chapter {
        CARD_CHAPTER => machine.start_with(&machine::card(CARD))?,
        _ => machine.start()?,
    };
    let mut outputs: Vec<Output> = Vec::new();
    let mut inside = false;
    let mut console = String::new();
    let mut done = false;
    while let Ok(line) = guest.lines.recv_timeout(PATIENCE) {
        console += &format!("{line}\n");
        if let Some(name) = line.strip_prefix("=== flow ") {
            outputs.push(Output {
                name: name.to_owned(),
                lines: Vec::new(),
            });
            inside = true;
        } else if let Some(output) = outputs.last_mut().filter(|_| inside) {
            inside = !line.starts_with("=== rc ");
            output.lines.push(line);
        } else if line.starts_with("=== done") {
            done = true;
            break;
        }
    }
    let log = project::target(&format!("logs/flows-{}-{chapter}.log", target.name()));
    project::write(&log, console.as_bytes())?;
    if !done {
        println!(
            "   {} did not come to the end: see {}",
            target.name(),
            log.display()
        );
    }
    Ok(outputs)
}
