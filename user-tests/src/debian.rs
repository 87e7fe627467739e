//! A root file system made of Debian packages, unpacked and never installed.

use crate::cpio::Archive;
use crate::programs;
use crate::project;
use anyhow::{Context, Result, bail};
use flate2::{Compression, write::GzEncoder};
use std::collections::BTreeSet;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What is wanted; their dependencies come along.
const PACKAGES: &[&str] = &[
    "base-files",
    "base-passwd",
    "bash",
    "bridge-utils",
    "bsdutils",
    "busybox-static",
    "cgroup-tools",
    "coreutils",
    "crun",
    "dash",
    "diffutils",
    "file",
    "findutils",
    "gawk",
    "grep",
    "gzip",
    "hostname",
    "iproute2",
    "iputils-ping",
    "less",
    "libcap-ng-utils",
    "libcap2-bin",
    "mount",
    "nano",
    "ncurses-base",
    "net-tools",
    "procps",
    "psmisc",
    "python3-minimal",
    "runc",
    "sed",
    "strace",
    "tar",
    "uidmap",
    "util-linux",
    "vim-tiny",
];

/// Not needed without package management, and large.
const UNWANTED: &[&str] = &["dpkg", "debconf", "perl-base", "cdebconf", "install-info"];

/// Directories that only documentation, locales and the like live in.
const PRUNED: &[&str] = &[
    "usr/share/doc",
    "usr/share/man",
    "usr/share/info",
    "usr/share/locale",
    "usr/share/lintian",
    "usr/share/bug",
    "usr/lib/x86_64-linux-gnu/gconv",
];

const INIT: &str = include_str!("../rootfs/debian-init");

/// Build the archive, unless one with these packages and this init is there.
pub fn initramfs() -> Result<PathBuf> {
    let path = project::target("rootfs-debian.cpio.gz");
    let nstree = programs::nstree()?;
    programs::compile(std::slice::from_ref(&nstree))?;
    let nstree = project::read(&nstree.binary())?;
    let sum = nstree.iter().fold(0u64, |sum, byte| {
        sum.wrapping_mul(31).wrapping_add((*byte).into())
    });
    let recipe = format!("{PACKAGES:?}\n{UNWANTED:?}\n{PRUNED:?}\n{INIT}\nnstree {sum:x}");
    let stamp = project::target("rootfs-debian.recipe");
    if path.exists() && std::fs::read(&stamp).is_ok_and(|made| made == recipe.as_bytes()) {
        return Ok(path);
    }
    let root = project::target("rootfs-debian");
    unpack(&root)?;
    std::fs::write(root.join("init"), INIT)?;
    std::fs::set_permissions(root.join("init"), PermissionsExt::from_mode(0o755))?;
    std::fs::write(root.join("usr/bin/nstree"), &nstree)?;
    std::fs::set_permissions(root.join("usr/bin/nstree"), PermissionsExt::from_mode(0o755))?;
    println!("pack {}", path.display());
    let mut archive = Archive::default();
    add(&mut archive, &root, "")?;
    archive_device_nodes(&mut archive);
    let mut gzip = GzEncoder::new(Vec::new(), Compression::new(6));
    gzip.write_all(&archive.finish())?;
    project::write(&path, &gzip.finish()?)?;
    project::write(&stamp, recipe.as_bytes())?;
    Ok(path)
}

fn archive_device_nodes(archive: &mut Archive) {
    archive.char_device("dev/console", 0o600, 5, 1);
    archive.char_device("dev/null", 0o666, 1, 3);
}

/// Download the closure of [`PACKAGES`] and unpack it below `root`.
fn unpack(root: &Path) -> Result<()> {
    let debs = project::target("debs");
    std::fs::create_dir_all(&debs)?;
    let packages = closure()?;
    let have: Vec<String> = names(&debs)?;
    let missing: Vec<&String> = packages
        .iter()
        .filter(|p| !have.iter().any(|h| h.starts_with(&format!("{p}_"))))
        .collect();
    if !missing.is_empty() {
        println!("download {} Debian packages", missing.len());
        project::run(
            Command::new("apt-get")
                .current_dir(&debs)
                .args(["download", "-q", "-o", "APT::Sandbox::User="])
                .args(&missing)
                .stdout(std::process::Stdio::null()),
        )
        .context("apt-get update may help")?;
    }
    if root.exists() {
        std::fs::remove_dir_all(root)?;
    }
    // Debian 12 expects a merged /usr: make its links before anything is unpacked.
    for dir in ["bin", "sbin", "lib", "lib64"] {
        std::fs::create_dir_all(root.join("usr").join(dir))?;
        std::os::unix::fs::symlink(format!("usr/{dir}"), root.join(dir))?;
    }
    for name in names(&debs)? {
        let package = name.split('_').next().unwrap_or_default();
        if packages.contains(package) {
            extract(&debs.join(&name), root)?;
        }
    }
    for dir in PRUNED {
        let _ = std::fs::remove_dir_all(root.join(dir));
    }
    for dir in ["dev", "proc", "sys", "run", "tmp", "root", "mnt", "etc"] {
        std::fs::create_dir_all(root.join(dir))?;
    }
    std::fs::set_permissions(root.join("tmp"), PermissionsExt::from_mode(0o1777))?;
    finish(root)
}

/// What the packages' installation scripts would have done and a shell needs.
fn finish(root: &Path) -> Result<()> {
    let masters = root.join("usr/share/base-passwd");
    std::fs::copy(masters.join("passwd.master"), root.join("etc/passwd"))?;
    std::fs::copy(masters.join("group.master"), root.join("etc/group"))?;
    std::fs::write(root.join("etc/hostname"), "zcell\n")?;
    for file in ["etc/subuid", "etc/subgid"] {
        std::fs::write(root.join(file), "root:100000:65536\nnobody:200000:65536\n")?;
    }
    std::fs::write(root.join("etc/ld.so.conf"), "include /etc/ld.so.conf.d/*.conf\n")?;
    for (link, to) in [
        ("usr/bin/awk", "gawk"),
        ("usr/bin/sh", "dash"),
        ("usr/bin/vi", "vim.tiny"),
        ("usr/bin/python3", "python3.11"),
        ("etc/mtab", "/proc/self/mounts"),
    ] {
        let link = root.join(link);
        if link.symlink_metadata().is_err() {
            std::os::unix::fs::symlink(to, link)?;
        }
    }
    if root.join("usr/bin/sh").metadata().is_err() {
        std::fs::remove_file(root.join("usr/bin/sh"))?;
        std::os::unix::fs::symlink("bash", root.join("usr/bin/sh"))?;
    }
    project::run(Command::new("/sbin/ldconfig").arg("-r").arg(root))
}

/// `dpkg-deb -x` replaces a link to a directory by the directory, so the tree is
/// streamed through tar, which can be told to keep it.
fn extract(deb: &Path, root: &Path) -> Result<()> {
    let mut unpack = Command::new("dpkg-deb")
        .arg("--fsys-tarfile")
        .arg(deb)
        .stdout(std::process::Stdio::piped())
        .spawn()
        .context("start dpkg-deb")?;
    let stream = unpack.stdout.take().context("dpkg-deb has no output")?;
    project::run(
        Command::new("tar")
            .args(["--extract", "--keep-directory-symlink", "--no-same-owner"])
            .arg("--directory")
            .arg(root)
            .stdin(stream),
    )?;
    if !unpack.wait()?.success() {
        bail!("dpkg-deb cannot read {}", deb.display());
    }
    Ok(())
}

fn closure() -> Result<BTreeSet<String>> {
    let list = project::output(
        Command::new("apt-cache")
            .args(["depends", "--recurse", "--no-recommends", "--no-suggests"])
            .args(["--no-conflicts", "--no-breaks", "--no-replaces"])
            .args(["--no-enhances", "--important"])
            .args(PACKAGES),
    )?;
    // Package names begin a line; their relations are indented, and virtual
    // packages are in brackets.
    Ok(list
        .lines()
        .filter(|l| l.starts_with(|c: char| c.is_ascii_alphanumeric()))
        .filter(|l| !l.contains(':') && !UNWANTED.contains(l))
        .map(str::to_owned)
        .collect())
}

fn names(dir: &Path) -> Result<Vec<String>> {
    let mut names = std::fs::read_dir(dir)?
        .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
        .collect::<Result<Vec<_>>>()?;
    names.sort();
    Ok(names)
}

/// Put the tree below `dir` into the archive as owned by root.
fn add(archive: &mut Archive, dir: &Path, prefix: &str) -> Result<()> {
    for name in names(dir)? {
        let path = dir.join(&name);
        let inside = format!("{prefix}{name}");
        let meta = path.symlink_metadata()?;
        let mode = meta.permissions().mode() & 0o7777;
        if meta.is_symlink() {
            archive.symlink(&inside, &std::fs::read_link(&path)?.to_string_lossy());
        } else if meta.is_dir() {
            archive.dir(&inside, mode);
            add(archive, &path, &format!("{inside}/"))?;
        } else if meta.is_file() {
            archive.file(&inside, mode, &project::read(&path)?);
        }
    }
    Ok(())
}
