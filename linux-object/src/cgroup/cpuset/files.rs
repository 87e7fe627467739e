//! The interface files of cpusets.

use core::sync::atomic::Ordering::Relaxed;

use super::partition::{Invalid, Kind};
use super::{Flags, NODES, State, change, cpuset, set_partition_kind};
use crate::cgroup::cpu_list::{parse_list, show_list};
use crate::cgroup::{CfCx, CfFlags, CfType, Show, Write, strip};
use crate::error::Result;
use crate::fs::seq_file::SeqBuf;
use crate::sched::CpuMask;
use crate::{bail, ensure};

/// Node numbers that can be named (Debian's `MAX_NUMNODES`).
const MAX_NODES: usize = 1024;
/// How long a list of nodes, or of CPUs, may be (Debian's `NR_CPUS` is 8192).
const MEMS_TEXT: usize = 100 + 6 * MAX_NODES;
const CPUS_TEXT: usize = 100 + 6 * 8192;

pub(super) static DFL: &[CfType] = &[
    CfType::new("cpuset.cpus")
        .flags(CfFlags::NOT_ON_ROOT)
        .show(Show::Text(|cx, out| {
            show_list(cpuset(cx.css()).state().cpus.0, out)
        }))
        .write(Write::Text(set_cpus))
        .max_write(CPUS_TEXT),
    CfType::new("cpuset.mems")
        .flags(CfFlags::NOT_ON_ROOT)
        .show(Show::Text(|cx, out| {
            show_list(cpuset(cx.css()).state().mems, out)
        }))
        .write(Write::Text(set_mems))
        .max_write(MEMS_TEXT),
    CfType::new("cpuset.cpus.effective").show(Show::Text(|cx, out| {
        show_list(cpuset(cx.css()).state().effective_cpus.0, out)
    })),
    CfType::new("cpuset.mems.effective").show(Show::Text(|cx, out| {
        show_list(cpuset(cx.css()).state().effective_mems, out)
    })),
    CfType::new("cpuset.cpus.partition")
        .flags(CfFlags::NOT_ON_ROOT)
        .show(Show::Text(show_partition))
        .write(Write::Text(set_partition)),
];

pub(super) static LEGACY: &[CfType] = &[
    CfType::new("cpuset.cpus")
        .show(Show::Text(|cx, out| {
            show_list(cpuset(cx.css()).state().cpus.0, out)
        }))
        .write(Write::Text(set_cpus))
        .max_write(CPUS_TEXT),
    CfType::new("cpuset.mems")
        .show(Show::Text(|cx, out| {
            show_list(cpuset(cx.css()).state().mems, out)
        }))
        .write(Write::Text(set_mems))
        .max_write(MEMS_TEXT),
    CfType::new("cpuset.effective_cpus").show(Show::Text(|cx, out| {
        show_list(cpuset(cx.css()).state().effective_cpus.0, out)
    })),
    CfType::new("cpuset.effective_mems").show(Show::Text(|cx, out| {
        show_list(cpuset(cx.css()).state().effective_mems, out)
    })),
    CfType::new("cpuset.cpu_exclusive")
        .show(Show::U64(|cx| flag(cx, Flags::CPU_EXCLUSIVE)))
        .write(Write::U64(|cx, on| set_flag(cx, Flags::CPU_EXCLUSIVE, on))),
    CfType::new("cpuset.mem_exclusive")
        .show(Show::U64(|cx| flag(cx, Flags::MEM_EXCLUSIVE)))
        .write(Write::U64(|cx, on| set_flag(cx, Flags::MEM_EXCLUSIVE, on))),
    CfType::new("cpuset.mem_hardwall")
        .show(Show::U64(|cx| flag(cx, Flags::MEM_HARDWALL)))
        .write(Write::U64(|cx, on| set_flag(cx, Flags::MEM_HARDWALL, on))),
    CfType::new("cpuset.sched_load_balance")
        .show(Show::U64(|cx| flag(cx, Flags::SCHED_LOAD_BALANCE)))
        .write(Write::U64(|cx, on| set_flag(cx, Flags::SCHED_LOAD_BALANCE, on))),
    CfType::new("cpuset.memory_migrate")
        .show(Show::U64(|cx| flag(cx, Flags::MEMORY_MIGRATE)))
        .write(Write::U64(|cx, on| set_flag(cx, Flags::MEMORY_MIGRATE, on))),
    CfType::new("cpuset.memory_spread_page")
        .show(Show::U64(|cx| flag(cx, Flags::SPREAD_PAGE)))
        .write(Write::U64(|cx, on| set_flag(cx, Flags::SPREAD_PAGE, on))),
    CfType::new("cpuset.memory_spread_slab")
        .show(Show::U64(|cx| flag(cx, Flags::SPREAD_SLAB)))
        .write(Write::U64(|cx, on| set_flag(cx, Flags::SPREAD_SLAB, on))),
    // Nobody has to reclaim memory before there is some.
    CfType::new("cpuset.memory_pressure").show(Show::U64(|_| 0)),
    CfType::new("cpuset.memory_pressure_enabled")
        .flags(CfFlags::ONLY_ON_ROOT)
        .show(Show::U64(|cx| {
            cpuset(cx.css()).pressure_enabled.load(Relaxed).into()
        }))
        .write(Write::U64(|cx, on| {
            cpuset(cx.css()).pressure_enabled.store(on != 0, Relaxed);
            Ok(())
        })),
];

fn flag(cx: &CfCx<'_>, flag: Flags) -> u64 {
    cpuset(cx.css()).state().flags.contains(flag).into()
}

fn set_flag(cx: &CfCx<'_>, flag: Flags, on: u64) -> Result<()> {
    change(cx, |mut state| {
        state.flags.set(flag, on != 0);
        Ok(state)
    })
}

fn show_partition(cx: &CfCx<'_>, out: &mut SeqBuf) -> Result<()> {
    let partition = cpuset(cx.css()).state().partition;
    let name = partition.kind.name();
    match partition.invalid {
        None => writeln!(out, "{name}"),
        Some(Invalid(why)) => writeln!(out, "{name} invalid ({why})"),
    }
}

fn set_partition(cx: &CfCx<'_>, text: &[u8]) -> Result<()> {
    let Some(kind) = Kind::find(strip(text)) else {
        bail!(EINVAL, "cpuset.cpus.partition: member, root or isolated");
    };
    let _membership = cx.kernel.cgroups.lock();
    ensure!(cx.css().is_online(), ENODEV, "cpuset: the cgroup is gone");
    set_partition_kind(cx.css(), kind);
    Ok(())
}

fn set_cpus(cx: &CfCx<'_>, text: &[u8]) -> Result<()> {
    change(cx, |state| {
        ensure!(!cx.css().is_root(), EACCES, "cpuset.cpus: of the root");
        let all = cpuset(cx.css()).all_cpus;
        let cpus = CpuMask(parse_list(strip(text), all.count())?);
        ensure!(cpus.and(all) == cpus, EINVAL, "cpuset.cpus: no such CPU");
        Ok(State { cpus, ..state })
    })
}

fn set_mems(cx: &CfCx<'_>, text: &[u8]) -> Result<()> {
    change(cx, |state| {
        ensure!(!cx.css().is_root(), EACCES, "cpuset.mems: of the root");
        let mems = parse_list(strip(text), MAX_NODES)?;
        ensure!(mems & !NODES == 0, EINVAL, "cpuset.mems: no such node");
        Ok(State { mems, ..state })
    })
}
