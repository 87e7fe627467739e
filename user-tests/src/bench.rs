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

/// Groups of rows, as `bench.c` names them, and the one that needs Debian's packages.
const GROUPS: [&str; 7] = [
    "calls",
    "memory",
    "processes",
    "cgroups",
    "namespaces",
    "net",
    "crun",
];

/// Measures the rows of `group` (all if it is empty) on both kernels, or on the one that is named, and prints a table.
pub fn run(group: &str, only: &str) -> Result<()> {
    if !group.is_empty() && !GROUPS.contains(&group) {
        bail!("no rows named {group}; there are {}", GROUPS.join(", "));
    }
    let mut ours = Vec::new();
    if only != "linux" {
        project::build_image()?;
        ours = measure(Target::Zcell, &project::image(), group)?;
    }
    let theirs = match only {
        "zcell" => Vec::new(),
        _ => measure(Target::Linux, &machine::linux()?, group)?,
    };
    println!("| operation | Linux | zcell | zcell / Linux |");
    println!("|---|---:|---:|---:|");
    let names = if theirs.is_empty() { &ours } else { &theirs };
    for (name, _) in names {
        let of = |rows: &[(String, u64)]| rows.iter().find(|(n, _)| n == name).map(|(_, cost)| *cost);
        let (linux, zcell) = (of(&theirs), of(&ours));
        let shown = |cost: Option<u64>| cost.map_or("-".to_owned(), |cost| cost.to_string());
        let ratio = match (linux, zcell) {
            (Some(linux), Some(zcell)) => format!("{:.2}", zcell as f64 / linux.max(1) as f64),
            _ => "-".to_owned(),
        };
        println!("| {name} | {} | {} | {ratio} |", shown(linux), shown(zcell));
    }
    Ok(())
}

/// The calls, and then a container made by crun in a world of Debian's packages.
fn measure(target: Target, kernel: &Path, group: &str) -> Result<Vec<(String, u64)>> {
    eprintln!("measure {}", kernel.display());
    let mut costs = Vec::new();
    if group != "crun" {
        let only = match group {
            "" => String::new(),
            group => format!("bench_group={group}"),
        };
        let initrd = initramfs::single(&programs::bench()?, target)?;
        costs = boot(kernel, initrd, &only, "512M")?;
    }
    if group.is_empty() || group == "crun" {
        let initrd = world::initramfs(target)?;
        costs.extend(boot(kernel, initrd, "rdinit=/flows/bench", "3G")?);
    }
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
