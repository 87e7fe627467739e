//! What system calls cost, counted in instructions, on zcell and on lean Linux.
//!
//! QEMU's `-icount` makes the guest's clock advance one nanosecond per executed
//! instruction, so `bench/bench.c` measures instructions, the same in every run.

use crate::expectations::Target;
use crate::machine::{self, Machine};
use crate::{initramfs, programs, project, world};
use anyhow::{Result, bail};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Without what zcell does not have either, so that like is compared with like.
const LEAN: &str = "mitigations=off lsm= audit=0 init_on_alloc=0 randomize_kstack_offset=off";

/// Silence after which a run is given up: Linux takes long to unpack and copy Debian's packages.
const PATIENCE: Duration = Duration::from_secs(300);

/// Measure both kernels and print a table; with `only_linux`, only that one.
pub fn run(only_linux: bool) -> Result<()> {
    let mut ours = Vec::new();
    if !only_linux {
        project::build_image()?;
        ours = measure(Target::Zcell, &project::image())?;
    }
    let linux = measure(Target::Linux, &machine::linux()?)?;
    println!("| operation | Linux | zcell | zcell / Linux |");
    println!("|---|---:|---:|---:|");
    for (name, theirs) in &linux {
        let Some((_, cost)) = ours.iter().find(|(n, _)| n == name) else {
            println!("| {name} | {theirs} | - | - |");
            continue;
        };
        let ratio = *cost as f64 / (*theirs).max(1) as f64;
        println!("| {name} | {theirs} | {cost} | {ratio:.2} |");
    }
    Ok(())
}

/// The calls, and then a container made by crun in a world of Debian's packages.
fn measure(target: Target, kernel: &Path) -> Result<Vec<(String, u64)>> {
    eprintln!("measure {}", kernel.display());
    let mut costs = boot(
        kernel,
        initramfs::single(&programs::bench()?, target)?,
        "",
        "512M",
    )?;
    costs.extend(boot(
        kernel,
        world::initramfs(target)?,
        "rdinit=/flows/bench",
        "3G",
    )?);
    Ok(costs)
}

/// What one boot prints.
fn boot(kernel: &Path, initrd: PathBuf, append: &str, mem: &str) -> Result<Vec<(String, u64)>> {
    let machine = Machine {
        kernel: kernel.to_owned(),
        initrd,
        append: format!("console=ttyS0 panic=-1 quiet {LEAN} {append}"),
        smp: 1,
        mem: mem.to_owned(),
        accel: "tcg",
        icount: true,
    };
    let guest = machine.start()?;
    let mut costs = Vec::new();
    while let Ok(line) = guest.lines.recv_timeout(PATIENCE) {
        if line.contains("bench-done") {
            return Ok(costs);
        }
        if line.contains("bench-error") {
            bail!("{line}");
        }
        costs.extend(cost(&line));
    }
    bail!("the measurement did not end; so far: {costs:?}")
}

/// The name and the number in `bench NAME NUMBER`.
fn cost(line: &str) -> Option<(String, u64)> {
    let mut words = line.strip_prefix("bench ")?.split_whitespace();
    Some((words.next()?.to_owned(), words.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::cost;

    #[test]
    fn reads_one_line() {
        assert_eq!(cost("bench getpid 298"), Some(("getpid".to_owned(), 298)));
        assert_eq!(cost("bench-done"), None);
        assert_eq!(cost("benchmark x 1"), None);
    }
}
