//! Where the project's files are, and how its commands are run.

use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The root of the source tree.
pub fn root() -> PathBuf {
    let crate_dir = Path::new(env!("CARGO_MANIFEST_DIR"));
    crate_dir.parent().unwrap_or(crate_dir).to_path_buf()
}

/// A path below `target/`.
pub fn target(path: &str) -> PathBuf {
    root().join("target").join(path)
}

/// The bootable kernel image.
pub fn image() -> PathBuf {
    target("zcell.elf")
}

/// Read a file, naming it in the error.
pub fn read(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).with_context(|| format!("read {}", path.display()))
}

/// The entries of a directory by name.
pub fn sorted(dir: &Path) -> Result<Vec<PathBuf>> {
    let mut paths: Vec<PathBuf> = std::fs::read_dir(dir)
        .with_context(|| format!("list {}", dir.display()))?
        .map(|entry| entry.map(|e| e.path()))
        .collect::<Result<_, _>>()?;
    paths.sort();
    Ok(paths)
}

/// Write a file and the directories above it, naming it in the error.
pub fn write(path: &Path, content: &[u8]) -> Result<()> {
    if let Some(dir) = path.parent() {
        std::fs::create_dir_all(dir)?;
    }
    std::fs::write(path, content).with_context(|| format!("write {}", path.display()))
}

/// Run a command to its end; a failure is an error that names the command.
pub fn run(command: &mut Command) -> Result<()> {
    let status = command
        .status()
        .with_context(|| format!("start {:?}", command.get_program()))?;
    if !status.success() {
        bail!("{:?} failed: {status}", command.get_program());
    }
    Ok(())
}

/// Run a command and take its standard output.
pub fn output(command: &mut Command) -> Result<String> {
    let out = command
        .output()
        .with_context(|| format!("start {:?}", command.get_program()))?;
    if !out.status.success() {
        bail!(
            "{:?} failed: {}\n{}",
            command.get_program(),
            out.status,
            String::from_utf8_lossy(&out.stderr)
        );
    }
    Ok(String::from_utf8_lossy(&out.stdout).into_owned())
}

/// Build the kernel and leave it at [`image`].
///
/// `PROFILE=dev` in the environment gives the kernel that checks lock order.
pub fn build_image() -> Result<()> {
    let profile = std::env::var("PROFILE").unwrap_or("release".into());
    run(Command::new("cargo").current_dir(root()).args([
        "build",
        "--quiet",
        "--profile",
        &profile,
        "--package=zcell",
        "--target=x86_64-unknown-none",
    ]))
    .context("the kernel does not build")?;
    let folder = if profile == "dev" { "debug" } else { &profile };
    let built = target(&format!("x86_64-unknown-none/{folder}/zcell"));
    // Without debug information, with the names of functions for backtraces.
    run(Command::new("cargo")
        .current_dir(root())
        .args(["run", "--quiet", "--package=ksyms", "--"])
        .arg(&built)
        .arg(image()))
}

/// Build a program of the workspace for this machine, and give its path.
pub fn build_host_program(package: &str) -> Result<PathBuf> {
    let package_flag = format!("--package={package}");
    run(Command::new("cargo")
        .current_dir(root())
        .args(["build", "--quiet", "--release", &package_flag]))?;
    Ok(target("release").join(package))
}
