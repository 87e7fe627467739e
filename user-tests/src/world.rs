//! What the container exercises need, laid over a root of Debian's packages: their programs in
//! `/usr/local/bin`, a small root directory for containers in `/rootfs`, the flows and the
//! measurement of a container in `/flows`, the demonstration in `/demo`.

use crate::cpio::Archive;
use crate::expectations::Target;
use crate::programs::{self, Program};
use crate::{debian, initramfs, modules, project};
use anyhow::Result;
use std::path::{Path, PathBuf};

/// Also inside the container's root.
const IN_CONTAINER: &[&str] = &["client", "forkn", "memhog", "server", "threads-cpu"];

/// Directories of the container's root, parents first.
const ROOTFS: &[&str] = &[
    "", "bin", "dev", "etc", "home", "proc", "root", "run", "sbin", "sys", "tmp", "usr", "usr/bin",
    "usr/sbin", "var",
];

/// Debian's root and, as a second archive behind it, everything of this file. On Linux also its modules.
pub fn initramfs(target: Target) -> Result<PathBuf> {
    let mut image = project::read(&debian::initramfs()?)?;
    let mut archive = Archive::default();
    let demo = programs::demo()?;
    archive.dir("usr/local", 0o755);
    archive.dir("usr/local/bin", 0o755);
    programs::compile(&demo)?;
    for program in &demo {
        archive.file(
            &format!("usr/local/bin/{}", file_name(program)),
            0o755,
            &project::read(&program.binary())?,
        );
    }
    let bench = programs::bench()?;
    programs::compile(std::slice::from_ref(&bench))?;
    archive.file("usr/local/bin/bench", 0o755, &project::read(&bench.binary())?);
    let cgprog = project::build_host_program("cgprog")?;
    archive.file("usr/local/bin/cgprog", 0o755, &project::read(&cgprog)?);
    container_root(&mut archive, &demo)?;
    for dir in ["flows", "demo"] {
        copy(&mut archive, &project::root().join("user-tests").join(dir), dir)?;
    }
    if target == Target::Linux {
        modules::pack(&mut archive)?;
    }
    // Linux looks for the next archive at a multiple of four.
    image.resize(image.len().next_multiple_of(4), 0);
    image.extend(archive.finish());
    let path = project::target(&format!("user-tests/world-{}.cpio", target.name()));
    project::write(&path, &image)?;
    Ok(path)
}

/// The exercise for a root without Debian's packages: its programs in `/usr/bin`, and the container's root.
pub fn exercise(archive: &mut Archive) -> Result<()> {
    let wanted = |program: &Program| {
        let name = file_name(program);
        name == "container" || IN_CONTAINER.contains(&name)
    };
    let programs: Vec<_> = programs::demo()?.into_iter().filter(wanted).collect();
    programs::compile(&programs)?;
    for program in &programs {
        let path = format!("usr/bin/{}", file_name(program));
        archive.file(&path, 0o755, &project::read(&program.binary())?);
    }
    container_root(archive, &programs)
}

fn file_name(program: &Program) -> &str {
    program.name.rsplit('/').next().unwrap_or(&program.name)
}

fn container_root(archive: &mut Archive, demo: &[Program]) -> Result<()> {
    for dir in ROOTFS {
        let mode = if *dir == "tmp" { 0o1777 } else { 0o755 };
        archive.dir(format!("rootfs/{dir}").trim_end_matches('/'), mode);
    }
    archive.file(
        "rootfs/bin/busybox",
        0o755,
        &project::read(initramfs::BUSYBOX.as_ref())?,
    );
    for applet in initramfs::applets()? {
        archive.symlink(&format!("rootfs/{applet}"), initramfs::BUSYBOX);
    }
    archive.file("rootfs/etc/passwd", 0o644, b"root:x:0:0:root:/root:/bin/sh\n");
    archive.file("rootfs/etc/group", 0o644, b"root:x:0:\n");
    for program in demo.iter().filter(|p| IN_CONTAINER.contains(&file_name(p))) {
        let name = file_name(program);
        archive.file(
            &format!("rootfs/{name}"),
            0o755,
            &project::read(&program.binary())?,
        );
    }
    Ok(())
}

/// A directory of the project as it is; shell scripts and files without suffix can be executed.
fn copy(archive: &mut Archive, dir: &Path, inside: &str) -> Result<()> {
    archive.dir(inside, 0o755);
    for entry in project::sorted(dir)? {
        let name = entry.file_name().unwrap_or_default().to_string_lossy();
        let inside = format!("{inside}/{name}");
        if entry.is_dir() {
            copy(archive, &entry, &inside)?;
        } else {
            let executable = entry.extension().is_none_or(|e| e == "sh");
            let mode = if executable { 0o755 } else { 0o644 };
            archive.file(&inside, mode, &project::read(&entry)?);
        }
    }
    Ok(())
}
