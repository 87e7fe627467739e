//! The root file systems that guests boot.

use crate::cpio::Archive;
use crate::expectations::Target;
use crate::modules;
use crate::programs::{self, Program};
use crate::{project, world};
use anyhow::{Context, Result};
use std::fmt::Write;
use std::path::PathBuf;
use std::process::Command;

/// Directories every root has, parents first.
const DIRS: &[&str] = &[
    "bin", "dev", "etc", "mnt", "proc", "root", "run", "sbin", "sys", "usr", "usr/bin", "usr/sbin", "var",
    "var/log", "var/tmp",
];

/// Debian's static busybox, here and in every root.
pub const BUSYBOX: &str = "/bin/busybox";

/// A root that runs the given tests: their programs, init, busybox, and for Linux its modules. It is left
/// below `target/user-tests` under `archive_name`.
pub fn tests(tests: &[Program], archive_name: &str, target: Target) -> Result<PathBuf> {
    let init = programs::init()?;
    programs::compile(tests)?;
    programs::compile(std::slice::from_ref(&init))?;
    let mut archive = skeleton()?;
    archive.dir("tests", 0o755);
    let mut list = String::new();
    let mut area = "";
    for test in tests {
        let in_area = test.name.split('/').next().unwrap_or_default();
        if in_area != area {
            archive.dir(&format!("tests/{in_area}"), 0o755);
            area = in_area;
        }
        let path = format!("tests/{}", test.name);
        archive.file(&path, 0o755, &project::read(&test.binary())?);
        writeln!(list, "{} {}", test.name, test.timeout)?;
    }
    archive.file("tests/list", 0o644, list.as_bytes());
    archive.file("init", 0o755, &project::read(&init.binary())?);
    busybox_links(&mut archive)?;
    if target == Target::Linux {
        modules::pack(&mut archive)?;
    }
    let path = project::target(&format!("user-tests/{archive_name}.cpio"));
    project::write(&path, &archive.finish())?;
    Ok(path)
}

/// A root whose first process is this program. Linux's has the module `/veth.ko`, which that may load.
pub fn single(init: &Program, target: Target) -> Result<PathBuf> {
    programs::compile(std::slice::from_ref(init))?;
    let mut archive = skeleton()?;
    archive.file("init", 0o755, &project::read(&init.binary())?);
    if target == Target::Linux {
        archive.file("veth.ko", 0o644, &modules::read("drivers/net/veth.ko")?);
    }
    let path = project::target(&format!("user-tests/single-{}.cpio", target.name()));
    project::write(&path, &archive.finish())?;
    Ok(path)
}

/// A root of Debian's static busybox, with a shell on the serial line.
pub fn busybox() -> Result<PathBuf> {
    let mut archive = skeleton()?;
    archive.file("init", 0o755, include_bytes!("../rootfs/busybox-init"));
    let nstree = programs::nstree()?;
    programs::compile(std::slice::from_ref(&nstree))?;
    archive.file("usr/bin/nstree", 0o755, &project::read(&nstree.binary())?);
    archive.file("etc/profile", 0o644, include_bytes!("../rootfs/busybox-profile"));
    archive.dir("etc/udhcpc", 0o755);
    archive.file(
        "etc/udhcpc/default.script",
        0o755,
        include_bytes!("../rootfs/udhcpc-script"),
    );
    world::exercise(&mut archive)?;
    busybox_links(&mut archive)?;
    let path = project::target("user-tests/busybox.cpio");
    project::write(&path, &archive.finish())?;
    Ok(path)
}

fn skeleton() -> Result<Archive> {
    let mut archive = Archive::default();
    for dir in DIRS {
        archive.dir(dir, 0o755);
    }
    archive.dir("tmp", 0o1777);
    // Linux opens this for its first process, before anything is mounted.
    archive.char_device("dev/console", 0o600, 5, 1);
    archive.char_device("dev/null", 0o666, 1, 3);
    archive.file(
        "etc/passwd",
        0o644,
        b"root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n",
    );
    archive.file("etc/group", 0o644, b"root:x:0:\ntty:x:5:\nnogroup:x:65534:\n");
    archive.file("etc/hostname", 0o644, b"zcell\n");
    archive.file("bin/busybox", 0o755, &project::read(BUSYBOX.as_ref())?);
    Ok(archive)
}

fn busybox_links(archive: &mut Archive) -> Result<()> {
    for link in applets()? {
        archive.symlink(&link, BUSYBOX);
    }
    Ok(())
}

/// Where busybox wants its applets, as far as a root has these directories.
pub fn applets() -> Result<Vec<String>> {
    let list =
        project::output(Command::new(BUSYBOX).arg("--list-full")).context("list the applets of busybox")?;
    let in_dirs = |link: &&str| link.rsplit_once('/').is_some_and(|(dir, _)| DIRS.contains(&dir));
    Ok(list
        .lines()
        .filter(|link| *link != "bin/busybox")
        .filter(in_dirs)
        .map(str::to_owned)
        .collect())
}
