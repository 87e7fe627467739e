//! The files of a v1 hierarchy (`cgroup-v1/memory.rst`).
//!
//! Without swap, memory with swap is memory: `memsw` counts what `memory` counts, and its limit, which never
//! lies below the other, is met first where both are equal. What Linux 6.1 has given up is as there: a limit
//! of kernel memory is taken and ignored, `kmem.slabinfo` is empty, `use_hierarchy` is always 1. All file pages
//! are in memory, so nothing can be reclaimed: `force_empty`, `soft_limit_in_bytes` and `swappiness`
//! have as little to do as there for tmpfs without swap.

use alloc::sync::Arc;
use core::sync::atomic::Ordering::Relaxed;

use super::limits::parse_pages;
use super::stat::Figures;
use super::{event_control, memcg_of_css};
use crate::cgroup::{CfCx, CfFlags, CfType, Show, Write};
use crate::error::Result;
use crate::fs::seq_file::SeqBuf;
use crate::ids::PAGE_SIZE;
use crate::mm::memcg::{Event, MemCgroup, MoveCharge, Pressure};
use crate::mm::page_counter::UNLIMITED;
use crate::mm::{oom, reclaim};
use crate::{bail, ensure};

const PAGE: u64 = PAGE_SIZE as u64;

fn memcg<'a>(cx: &'a CfCx<'_>) -> &'a Arc<MemCgroup> {
    memcg_of_css(cx.css())
}

fn usage(cx: &CfCx<'_>) -> u64 {
    if memcg(cx).is_root() {
        let memory = &cx.kernel.memory;
        return (memory.nr_anon.now() + memory.nr_cache.now()) * PAGE;
    }
    cx.kernel.memory.control.usage_bytes(memcg(cx))
}

/// A limit below the usage is refused once nothing can be reclaimed.
fn set_limit(cx: &CfCx<'_>, data: &[u8]) -> Result<()> {
    let memcg = memcg(cx);
    let pages = parse_pages(data, b"-1")?;
    ensure!(!memcg.is_root(), EINVAL, "memory.limit_in_bytes of the root");
    let control = &cx.kernel.memory.control;
    control.drain(memcg);
    if memcg.set_limit(pages)? {
        oom::wake_waiters(memcg);
    } else {
        reclaim::reclaim(control, memcg, memcg.memory.usage().saturating_sub(pages));
        control.tell_pressure(memcg, Pressure::Critical);
        let fits = memcg.set_limit(pages)?;
        ensure!(fits, EBUSY, "memory.limit_in_bytes below the usage");
    }
    Ok(())
}

fn set_memsw_limit(cx: &CfCx<'_>, data: &[u8]) -> Result<()> {
    let pages = parse_pages(data, b"-1")?;
    ensure!(
        !memcg(cx).is_root(),
        EINVAL,
        "memory.memsw.limit_in_bytes of the root"
    );
    memcg(cx).set_memsw_limit(pages)
}

fn set_soft_limit(cx: &CfCx<'_>, data: &[u8]) -> Result<()> {
    memcg(cx).soft_limit.store(parse_pages(data, b"-1")?, Relaxed);
    Ok(())
}

fn set_use_hierarchy(_: &CfCx<'_>, value: u64) -> Result<()> {
    ensure!(value == 1, EINVAL, "memory.use_hierarchy: there is no other way");
    Ok(())
}

fn set_swappiness(cx: &CfCx<'_>, value: u64) -> Result<()> {
    ensure!(value <= 200, EINVAL, "memory.swappiness: 0 to 200");
    memcg(cx).swappiness.store(value, Relaxed);
    Ok(())
}

fn force_empty(cx: &CfCx<'_>, _: &[u8]) -> Result<()> {
    ensure!(!memcg(cx).is_root(), EINVAL, "memory.force_empty of the root");
    reclaim::reclaim(&cx.kernel.memory.control, memcg(cx), UNLIMITED);
    Ok(())
}

fn show_oom_control(cx: &CfCx<'_>, out: &mut SeqBuf) -> Result<()> {
    let memcg = memcg(cx);
    writeln!(
        out,
        "oom_kill_disable {}",
        u32::from(memcg.is_oom_kill_disabled())
    )?;
    writeln!(out, "under_oom {}", u32::from(oom::is_under_oom(memcg)))?;
    writeln!(out, "oom_kill {}", memcg.events_local(Event::OomKill))
}

fn set_oom_control(cx: &CfCx<'_>, value: u64) -> Result<()> {
    let memcg = memcg(cx);
    if memcg.is_root() || value > 1 {
        bail!(EINVAL, "memory.oom_control: of the root, or neither 0 nor 1");
    }
    memcg.oom_kill_disable.store(value == 1, Relaxed);
    oom::wake_waiters(memcg);
    Ok(())
}

/// Figures of the cgroup alone, then limits, then those of the subtree.
fn show_stat(cx: &CfCx<'_>, out: &mut SeqBuf) -> Result<()> {
    let memcg = memcg(cx);
    let lines = |out: &mut SeqBuf, prefix: &str, local: bool| -> Result<()> {
        let is = Figures::of(cx, local);
        for (name, value) in [
            ("cache", is.shmem),
            ("rss", is.anon),
            ("rss_huge", 0),
            ("shmem", is.shmem),
            ("mapped_file", is.mapped),
            ("dirty", 0),
            ("writeback", 0),
            ("workingset_refault_anon", 0),
            ("workingset_refault_file", 0),
            ("swap", 0),
            ("pgpgin", is.charged),
            ("pgpgout", is.charged.saturating_sub((is.anon + is.shmem) / PAGE)),
            ("pgfault", is.faults),
            ("pgmajfault", 0),
            ("inactive_anon", is.anon + is.shmem),
            ("active_anon", 0),
            ("inactive_file", 0),
            ("active_file", 0),
        ] {
            // The root does not count faults.
            if name != "pgfault" || !memcg.is_root() {
                writeln!(out, "{prefix}{name} {value}")?;
            }
        }
        Ok(())
    };
    lines(out, "", true)?;
    let limit = |of: fn(&MemCgroup) -> u64| {
        let limits = memcg.self_and_ancestors().map(|memcg| of(memcg));
        limits.min().unwrap_or(UNLIMITED) * PAGE
    };
    writeln!(
        out,
        "hierarchical_memory_limit {}",
        limit(|memcg| memcg.memory.max())
    )?;
    let memsw = limit(|memcg| memcg.memsw_max());
    writeln!(out, "hierarchical_memsw_limit {memsw}")?;
    lines(out, "total_", false)
}

/// `memory.numa_stat`, in pages: there is one node, and pages of tmpfs are on the anonymous lists.
fn show_numa_stat(cx: &CfCx<'_>, out: &mut SeqBuf) -> Result<()> {
    for (prefix, local) in [("", true), ("hierarchical_", false)] {
        let is = Figures::of(cx, local);
        let anon = (is.anon + is.shmem) / PAGE;
        for (name, pages) in [("total", anon), ("file", 0), ("anon", anon), ("unevictable", 0)] {
            writeln!(out, "{prefix}{name}={pages} N0={pages}")?;
        }
    }
    Ok(())
}

/// Kernel memory in use, and the most it ever was.
fn kmem(cx: &CfCx<'_>) -> u64 {
    if memcg(cx).is_root() {
        return Figures::of(cx, false).kernel;
    }
    cx.kernel.memory.control.drain(memcg(cx));
    memcg(cx).kmem_usage() * PAGE
}

fn kmem_max(cx: &CfCx<'_>) -> u64 {
    cx.kernel.memory.control.drain(memcg(cx));
    memcg(cx).kmem_peak() * PAGE
}

/// Linux 6.1 no longer has this limit: what is written must be a size, and is forgotten.
fn set_kmem_limit(cx: &CfCx<'_>, data: &[u8]) -> Result<()> {
    parse_pages(data, b"-1")?;
    ensure!(
        !memcg(cx).is_root(),
        EINVAL,
        "memory.kmem.limit_in_bytes of the root"
    );
    Ok(())
}

/// Buffers of sockets are counted from the first limit on.
fn set_tcp_limit(cx: &CfCx<'_>, data: &[u8]) -> Result<()> {
    let pages = parse_pages(data, b"-1")?;
    let memcg = memcg(cx);
    ensure!(
        !memcg.is_root(),
        EINVAL,
        "memory.kmem.tcp.limit_in_bytes of the root"
    );
    let fits = memcg.tcp.try_set_max(pages);
    ensure!(fits, EBUSY, "memory.kmem.tcp.limit_in_bytes below the usage");
    memcg.tcp_active.store(true, Relaxed);
    Ok(())
}

fn set_move_charge(cx: &CfCx<'_>, value: u64) -> Result<()> {
    // Linux looks at 32 bits.
    let kinds = u8::try_from(value as u32).ok().and_then(MoveCharge::from_bits);
    let Some(kinds) = kinds else {
        bail!(EINVAL, "memory.move_charge_at_immigrate: 0 to 3")
    };
    memcg(cx).move_charge.store(kinds.bits(), Relaxed);
    Ok(())
}

pub(super) static FILES: &[CfType] = &[
    CfType::new("memory.usage_in_bytes").show(Show::U64(usage)),
    CfType::new("memory.max_usage_in_bytes")
        .show(Show::U64(|cx| memcg(cx).memory.watermark() * PAGE))
        .write(Write::Text(|cx, _| {
            memcg(cx).memory.reset_watermark();
            Ok(())
        })),
    CfType::new("memory.limit_in_bytes")
        .show(Show::U64(|cx| memcg(cx).memory.max() * PAGE))
        .write(Write::Text(set_limit)),
    CfType::new("memory.soft_limit_in_bytes")
        .show(Show::U64(|cx| memcg(cx).soft_limit.load(Relaxed) * PAGE))
        .write(Write::Text(set_soft_limit)),
    CfType::new("memory.failcnt")
        .show(Show::U64(|cx| memcg(cx).memory.failcnt()))
        .write(Write::Text(|cx, _| {
            memcg(cx).memory.reset_failcnt();
            Ok(())
        })),
    CfType::new("memory.stat").show(Show::Text(show_stat)),
    CfType::new("memory.force_empty").write(Write::Text(force_empty)),
    CfType::new("memory.use_hierarchy")
        .show(Show::U64(|_| 1))
        .write(Write::U64(set_use_hierarchy)),
    CfType::new("memory.swappiness")
        .show(Show::U64(|cx| memcg(cx).swappiness.load(Relaxed)))
        .write(Write::U64(set_swappiness)),
    CfType::new("memory.move_charge_at_immigrate")
        .show(Show::U64(|cx| memcg(cx).move_charge().bits().into()))
        .write(Write::U64(set_move_charge)),
    CfType::new("memory.oom_control")
        .show(Show::Text(show_oom_control))
        .write(Write::U64(set_oom_control)),
    CfType::new("memory.pressure_level"),
    CfType::new("cgroup.event_control")
        .flags(CfFlags::NO_PREFIX.union(CfFlags::WORLD_WRITABLE))
        .write(Write::Text(event_control::write)),
    CfType::new("memory.numa_stat").show(Show::Text(show_numa_stat)),
    CfType::new("memory.kmem.limit_in_bytes")
        .show(Show::U64(|_| UNLIMITED * PAGE))
        .write(Write::Text(set_kmem_limit)),
    CfType::new("memory.kmem.usage_in_bytes").show(Show::U64(kmem)),
    // Nothing is ever refused without a limit.
    CfType::new("memory.kmem.failcnt")
        .show(Show::U64(|_| 0))
        .write(Write::Text(|_, _| Ok(()))),
    CfType::new("memory.kmem.max_usage_in_bytes")
        .show(Show::U64(kmem_max))
        .write(Write::Text(|cx, _| {
            cx.kernel.memory.control.drain(memcg(cx));
            memcg(cx).reset_kmem_peak();
            Ok(())
        })),
    CfType::new("memory.kmem.slabinfo").show(Show::Text(|_, _| Ok(()))),
    CfType::new("memory.kmem.tcp.limit_in_bytes")
        .show(Show::U64(|cx| memcg(cx).tcp.max() * PAGE))
        .write(Write::Text(set_tcp_limit)),
    CfType::new("memory.kmem.tcp.usage_in_bytes").show(Show::U64(|cx| memcg(cx).tcp.usage() * PAGE)),
    CfType::new("memory.kmem.tcp.failcnt")
        .show(Show::U64(|cx| memcg(cx).tcp.failcnt()))
        .write(Write::Text(|cx, _| {
            memcg(cx).tcp.reset_failcnt();
            Ok(())
        })),
    CfType::new("memory.kmem.tcp.max_usage_in_bytes")
        .show(Show::U64(|cx| memcg(cx).tcp.watermark() * PAGE))
        .write(Write::Text(|cx, _| {
            memcg(cx).tcp.reset_watermark();
            Ok(())
        })),
    CfType::new("memory.memsw.usage_in_bytes").show(Show::U64(usage)),
    CfType::new("memory.memsw.max_usage_in_bytes")
        .show(Show::U64(|cx| memcg(cx).memory.watermark() * PAGE))
        .write(Write::Text(|cx, _| {
            memcg(cx).memory.reset_watermark();
            Ok(())
        })),
    CfType::new("memory.memsw.limit_in_bytes")
        .show(Show::U64(|cx| memcg(cx).memsw_max() * PAGE))
        .write(Write::Text(set_memsw_limit)),
    CfType::new("memory.memsw.failcnt")
        .show(Show::U64(|cx| memcg(cx).memsw_failcnt.load(Relaxed)))
        .write(Write::Text(|cx, _| {
            memcg(cx).memsw_failcnt.store(0, Relaxed);
            Ok(())
        })),
];
