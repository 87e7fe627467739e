//! The host side of the tests: builds C programs and root file systems, boots
//! them on zcell and on Debian's Linux in QEMU, and judges the result.

mod bench;
mod console;
mod cpio;
mod debian;
mod expectations;
mod flows;
mod host;
mod initramfs;
mod machine;
mod modules;
mod programs;
mod project;
mod suite;
mod world;

use anyhow::{Context, Result, bail};
use expectations::Target;
use machine::Machine;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;
use suite::{Suite, Tally};

const HELP: &str = "\
user-tests COMMAND [OPTION=VALUE…]

  image         build the kernel at target/zcell.elf
  build         compile the C programs
  initramfs     make the root file system ROOTFS and print its path
  run           boot an interactive shell: KERNEL ROOTFS SMP MEM APPEND NET
  gdb           boot stopped, with gdb attached: the same options
  qemu-test     run C tests on zcell: T SMP MEM APPEND
  linux-test    run C tests on Debian's Linux in QEMU: T SMP MEM APPEND
  native-test   run C tests on this machine: T
  bench         count the instructions of system calls on zcell and on Linux: KERNEL
  demo          play the container exercises, with a verdict per line: KERNEL SMP MEM
  flows         play command lines of Debian's programs on zcell and on Linux and compare: T SMP MEM KERNEL
  test          host tests, zcell on each of SMP's CPU counts, Linux: T SMP

T is area, area/file or area/file:case, joined by commas; nothing is all.
";

fn main() -> ExitCode {
    match command() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn command() -> Result<()> {
    let mut args = std::env::args().skip(1);
    let name = args.next().unwrap_or_default();
    let options = Options::parse(args)?;
    match name.as_str() {
        "image" => project::build_image(),
        "build" => programs::compile(&programs::all()?),
        "initramfs" => {
            println!("{}", options.rootfs()?.display());
            Ok(())
        }
        "run" => run(&options),
        "gdb" => gdb(&options),
        "qemu-test" => suite::report(&[options.suite(Target::Zcell, "1")?.run()?]),
        "linux-test" => suite::report(&[options.suite(Target::Linux, "2")?.run()?]),
        "native-test" => suite::report(&[options.suite(Target::Native, "1")?.run()?]),
        "demo" => demo(&options),
        "flows" => flows(&options),
        "test" => test(&options),
        "bench" => bench::run(options.get("T", ""), options.get("KERNEL", "")),
        _ => {
            print!("{HELP}");
            bail!("no command {name:?}")
        }
    }
}

/// What the command line says; empty values are as good as none.
#[derive(Default)]
struct Options(Vec<(String, String)>);

impl Options {
    fn parse(args: impl Iterator<Item = String>) -> Result<Self> {
        let mut options = Self::default();
        for arg in args {
            let Some((key, value)) = arg.split_once('=') else {
                bail!("{arg:?} is not OPTION=VALUE");
            };
            if !["T", "SMP", "MEM", "APPEND", "ROOTFS", "KERNEL", "NET"].contains(&key) {
                bail!("no option {key:?}");
            }
            if !value.is_empty() {
                options.0.push((key.to_owned(), value.to_owned()));
            }
        }
        Ok(options)
    }

    fn get<'a>(&'a self, key: &str, default: &'a str) -> &'a str {
        let found = self.0.iter().rev().find(|(k, _)| k == key);
        found.map_or(default, |(_, value)| value)
    }

    fn suite(&self, target: Target, smp: &str) -> Result<Suite> {
        let filter = self.get("T", "").to_owned();
        let programs = programs::select(&programs::all()?, &filter)?;
        if target == Target::Zcell {
            project::build_image()?;
        }
        Ok(Suite {
            target,
            verbose: !filter.is_empty() && programs.len() == 1,
            programs,
            filter,
            smp: self.get("SMP", smp).parse().context("SMP")?,
            mem: self.get("MEM", "512M").to_owned(),
            append: self.get("APPEND", "").to_owned(),
        })
    }

    /// Which kernel `KERNEL` names.
    fn target(&self) -> Target {
        match self.get("KERNEL", "zcell") {
            "linux" => Target::Linux,
            _ => Target::Zcell,
        }
    }

    fn rootfs(&self) -> Result<PathBuf> {
        match self.get("ROOTFS", "busybox") {
            "busybox" => initramfs::busybox(),
            "debian" => world::initramfs(self.target()),
            "tests" => initramfs::tests(&programs::all()?, "tests", self.target()),
            path if PathBuf::from(path).is_file() => Ok(PathBuf::from(path)),
            other => bail!("ROOTFS={other}: neither busybox, debian, tests nor a file"),
        }
    }

    /// The image that `KERNEL` names, built if it is ours.
    fn kernel(&self) -> Result<PathBuf> {
        match self.get("KERNEL", "zcell") {
            "zcell" => {
                project::build_image()?;
                Ok(project::image())
            }
            "linux" => machine::linux(),
            path => Ok(PathBuf::from(path)),
        }
    }

    fn machine(&self) -> Result<Machine> {
        let mem = match self.get("ROOTFS", "busybox") {
            "debian" => "2G",
            _ => "512M",
        };
        Ok(Machine {
            kernel: self.kernel()?,
            initrd: self.rootfs()?,
            append: format!("console=ttyS0 panic=-1 quiet {}", self.get("APPEND", "")),
            smp: self.get("SMP", "2").parse().context("SMP")?,
            mem: self.get("MEM", mem).to_owned(),
            accel: machine::accel()?,
            icount: false,
        })
    }
}

/// Hand the terminal over to QEMU.
fn run(options: &Options) -> Result<()> {
    let mut qemu = options.machine()?.command();
    match options.get("NET", "none") {
        "none" => {}
        net => drop(qemu.args(machine::card(net))),
    }
    Err(qemu.arg("-nographic").exec()).context("start qemu-system-x86_64")
}

/// QEMU in the background, its console in a file, gdb in the foreground.
fn gdb(options: &Options) -> Result<()> {
    let machine = options.machine()?;
    let console = project::target("logs/gdb-console.log");
    project::write(&console, b"")?;
    println!("console: {}", console.display());
    let mut qemu = machine
        .command()
        .args(["-display", "none", "-monitor", "none", "-S", "-gdb", "tcp::1234"])
        .arg("-serial")
        .arg(format!("file:{}", console.display()))
        .stdin(Stdio::null())
        .process_group(0)
        .spawn()
        .context("start qemu-system-x86_64")?;
    let result = project::run(
        Command::new("gdb")
            .arg(&machine.kernel)
            .args(["-ex", "target remote :1234"]),
    );
    let _ = qemu.kill();
    qemu.wait()?;
    result
}

/// Boot the demonstration and show its console; an error unless everything holds.
fn demo(options: &Options) -> Result<()> {
    let machine = Machine {
        kernel: options.kernel()?,
        initrd: world::initramfs(options.target())?,
        append: "console=ttyS0 panic=-1 quiet loglevel=1 rdinit=/demo/init".to_owned(),
        smp: options.get("SMP", "2").parse().context("SMP")?,
        mem: options.get("MEM", "2G").to_owned(),
        accel: machine::accel()?,
        icount: false,
    };
    let guest = machine.start()?;
    while let Ok(line) = guest.lines.recv_timeout(Duration::from_secs(180)) {
        println!("{line}");
        if line.starts_with("demo: ") {
            anyhow::ensure!(line.ends_with(" 0 fail"), "the demonstration does not hold");
            return Ok(());
        }
    }
    bail!("the demonstration did not come to its end")
}

fn flows(options: &Options) -> Result<()> {
    let smp = options.get("SMP", "2").parse().context("SMP")?;
    flows::run(
        &options.kernel()?,
        options.get("T", ""),
        smp,
        options.get("MEM", "3G"),
    )
}

/// Everything. A guest waits for its clock a good part of the time: the host tests run beside the build of
/// the kernel and the first boot.
fn test(options: &Options) -> Result<()> {
    let boot = |target: Target, smp: &str| {
        let options = Options(vec![
            ("T".to_owned(), options.get("T", "").to_owned()),
            ("SMP".to_owned(), smp.to_owned()),
        ]);
        let result = options.suite(target, smp).and_then(|suite| suite.run());
        result.unwrap_or_else(|error| {
            println!("   FAIL {}: {error:#}", target.name());
            Tally::broken(target.name())
        })
    };
    let mut tallies = Vec::new();
    std::thread::scope(|scope| {
        let host = scope.spawn(host::run);
        let mut sizes = options.get("SMP", "1 4").split_whitespace();
        let first = sizes.next().map(|smp| boot(Target::Zcell, smp));
        tallies.push(host.join().unwrap_or_else(|_| Ok(Tally::broken("host")))?);
        tallies.extend(first);
        tallies.extend(sizes.map(|smp| boot(Target::Zcell, smp)));
        anyhow::Ok(())
    })?;
    tallies.push(boot(Target::Linux, "2"));
    suite::report(&tallies)
}
