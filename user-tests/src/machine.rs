//! QEMU: the command line of a guest, and which accelerator really works.

use crate::console::{Event, Log};
use crate::expectations::Target;
use crate::{initramfs, programs, project};
use anyhow::{Context, Result, bail};
use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

/// A guest about to be started.
pub struct Machine {
    pub kernel: PathBuf,
    pub initrd: PathBuf,
    pub append: String,
    pub smp: u32,
    pub mem: String,
    pub accel: &'static str,
    /// Count instructions: the guest's clock advances a nanosecond for each.
    pub icount: bool,
}

impl Machine {
    /// QEMU's command line up to the choice of consoles.
    pub fn command(&self) -> Command {
        let mut qemu = Command::new("qemu-system-x86_64");
        if self.icount {
            qemu.args(["-icount", "shift=0,sleep=off", "-cpu", "max,-erms,-la57"]);
        } else {
            qemu.args(["-cpu", "max"]);
        }
        qemu.args(["-accel", self.accel, "-no-reboot"])
            .args(["-m", &self.mem, "-smp", &self.smp.to_string()])
            .arg("-kernel")
            .arg(&self.kernel)
            .arg("-initrd")
            .arg(&self.initrd)
            .args(["-append", &self.append])
            .args(["-device", "isa-debug-exit,iobase=0xf4,iosize=0x04"])
            .args(["-net", "none"]);
        qemu
    }

    /// Start it with the serial console as a stream of lines.
    pub fn start(&self) -> Result<Guest> {
        self.start_with(&[])
    }

    /// Likewise, with more devices.
    pub fn start_with(&self, devices: &[String]) -> Result<Guest> {
        let mut child = self
            .command()
            .args(devices)
            .args(["-display", "none", "-monitor", "none", "-serial", "stdio"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(if self.accel == "kvm" {
                Stdio::null() // it may only be a trial
            } else {
                Stdio::inherit()
            })
            .spawn()
            .context("start qemu-system-x86_64 (scripts/setup installs it)")?;
        let Some(stdout) = child.stdout.take() else {
            bail!("QEMU has no output");
        };
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            let mut reader = BufReader::new(stdout);
            let mut line = Vec::new();
            while matches!(reader.read_until(b'\n', &mut line), Ok(1..)) {
                let text = String::from_utf8_lossy(&line).trim_end().to_owned();
                line.clear();
                if sender.send(text).is_err() {
                    // Nobody listens any more: let the guest end.
                    let _ = reader.read_to_end(&mut line);
                }
            }
        });
        Ok(Guest { child, lines })
    }
}

/// A network card for QEMU, connected to `net`: `user`, perhaps with options of QEMU's user network after a comma.
pub fn card(net: &str) -> [String; 4] {
    let (kind, options) = net.split_once(',').unwrap_or((net, ""));
    let comma = if options.is_empty() { "" } else { "," };
    [
        "-netdev".to_owned(),
        format!("{kind},id=net0{comma}{options}"),
        "-device".to_owned(),
        // Nobody boots from it.
        "virtio-net-pci,netdev=net0,romfile=".to_owned(),
    ]
}

/// A running guest; it is killed when dropped.
pub struct Guest {
    child: Child,
    /// The lines of its console; closed when QEMU ends.
    pub lines: Receiver<String>,
}

impl Drop for Guest {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Debian's Linux, as `scripts/setup` leaves it.
pub fn linux() -> Result<PathBuf> {
    let path = project::target("linux/vmlinuz");
    if !path.exists() {
        bail!("{} is missing; run scripts/setup", path.display());
    }
    Ok(path)
}

/// `kvm` if a guest has been seen to boot under it, else `tcg`. The answer is
/// kept in `target/accel`; a device file proves nothing where virtual machines
/// are nested.
pub fn accel() -> Result<&'static str> {
    let cache = project::target("accel");
    if let Ok(answer) = std::fs::read_to_string(&cache) {
        return Ok(if answer.trim() == "kvm" { "kvm" } else { "tcg" });
    }
    let answer = if std::path::Path::new("/dev/kvm").exists() && boots_under_kvm()? {
        "kvm"
    } else {
        "tcg"
    };
    eprintln!("accelerator: {answer} (kept in target/accel)");
    project::write(&cache, answer.as_bytes())?;
    Ok(answer)
}

fn boots_under_kvm() -> Result<bool> {
    let hello = programs::select(&programs::all()?, "hello")?;
    let machine = Machine {
        kernel: linux()?,
        initrd: initramfs::tests(&hello, "accel", Target::Linux)?,
        append: "console=ttyS0 panic=-1 quiet ktest=hello".to_owned(),
        smp: 2,
        mem: "256M".to_owned(),
        accel: "kvm",
        icount: false,
    };
    let guest = machine.start()?;
    let end = Instant::now() + Duration::from_secs(20);
    let mut log = Log::default();
    while let Ok(line) = guest
        .lines
        .recv_timeout(end.saturating_duration_since(Instant::now()))
    {
        if log.line(&line) == Event::Done {
            return Ok(true);
        }
    }
    Ok(false)
}
