//! The files of cgroup2 (`cgroup-v2.rst`, "Memory Interface Files").

use core::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use alloc::sync::Arc;

use super::limits::{parse_pages, show_pages, show_value};
use super::{memcg_of_css, stat};
use crate::cgroup::{CfCx, CfFlags, CfType, Show, Write, parse_i64, strip};
use crate::error::Result;
use crate::fs::seq_file::SeqBuf;
use crate::ids::PAGE_SIZE;
use crate::mm::memcg::{Event, MemCgroup};
use crate::mm::{oom, reclaim};
use crate::{bail, ensure};

fn memcg<'a>(cx: &'a CfCx<'_>) -> &'a Arc<MemCgroup> {
    memcg_of_css(cx.css())
}

fn set(cx: &CfCx<'_>, data: &[u8], field: fn(&MemCgroup) -> &AtomicU64) -> Result<()> {
    field(memcg(cx)).store(parse_pages(data, b"max")?, Relaxed);
    Ok(())
}

fn show_events(out: &mut SeqBuf, count: impl Fn(Event) -> u64) -> Result<()> {
    for (event, name) in Event::ALL {
        writeln!(out, "{name} {}", count(event))?;
    }
    Ok(())
}

/// Charges above the limit are reclaimed and, if that is not enough, processes killed.
fn set_max(cx: &CfCx<'_>, data: &[u8]) -> Result<()> {
    let memcg = memcg(cx);
    memcg.memory.set_max(parse_pages(data, b"max")?);
    oom::note_lowered(cx.task, memcg);
    Ok(())
}

/// Reclaims at once what is above; the rest is for those who allocate.
fn set_high(cx: &CfCx<'_>, data: &[u8]) -> Result<()> {
    let memcg = memcg(cx);
    let high = parse_pages(data, b"max")?;
    memcg.high.store(high, Relaxed);
    let over = memcg.memory.usage().saturating_sub(high);
    reclaim::reclaim(&cx.kernel.memory.control, memcg, over);
    Ok(())
}

fn set_oom_group(cx: &CfCx<'_>, data: &[u8]) -> Result<()> {
    let flag: &AtomicBool = &memcg(cx).oom_group;
    let value = parse_i64(strip(data))?;
    ensure!(i32::try_from(value).is_ok(), ERANGE, "memory.oom.group: no int");
    match value {
        0 => flag.store(false, Relaxed),
        1 => flag.store(true, Relaxed),
        _ => bail!(EINVAL, "memory.oom.group: neither 0 nor 1"),
    }
    Ok(())
}

fn force_reclaim(cx: &CfCx<'_>, data: &[u8]) -> Result<()> {
    let pages = parse_pages(data, b"")?;
    let done = reclaim::reclaim(&cx.kernel.memory.control, memcg(cx), pages);
    ensure!(done >= pages, EAGAIN, "memory.reclaim: less could be reclaimed");
    Ok(())
}

const NOT_ON_ROOT: CfFlags = CfFlags::NOT_ON_ROOT;

pub(super) static FILES: &[CfType] = &[
    CfType::new("memory.current")
        .flags(NOT_ON_ROOT)
        .show(Show::U64(|cx| cx.kernel.memory.control.usage_bytes(memcg(cx)))),
    CfType::new("memory.peak")
        .flags(NOT_ON_ROOT)
        .show(Show::U64(|cx| memcg(cx).memory.watermark() * PAGE_SIZE as u64)),
    CfType::new("memory.min")
        .flags(NOT_ON_ROOT)
        .show(Show::Text(|cx, out| show_pages(&memcg(cx).min, out)))
        .write(Write::Text(|cx, data| set(cx, data, |memcg| &memcg.min))),
    CfType::new("memory.low")
        .flags(NOT_ON_ROOT)
        .show(Show::Text(|cx, out| show_pages(&memcg(cx).low, out)))
        .write(Write::Text(|cx, data| set(cx, data, |memcg| &memcg.low))),
    CfType::new("memory.high")
        .flags(NOT_ON_ROOT)
        .show(Show::Text(|cx, out| show_pages(&memcg(cx).high, out)))
        .write(Write::Text(set_high)),
    CfType::new("memory.max")
        .flags(NOT_ON_ROOT)
        .show(Show::Text(|cx, out| show_value(memcg(cx).memory.max(), out)))
        .write(Write::Text(set_max)),
    CfType::new("memory.events")
        .flags(NOT_ON_ROOT)
        .show(Show::Text(|cx, out| {
            show_events(out, |event| memcg(cx).events(event))
        })),
    CfType::new("memory.events.local")
        .flags(NOT_ON_ROOT)
        .show(Show::Text(|cx, out| {
            show_events(out, |event| memcg(cx).events_local(event))
        })),
    CfType::new("memory.stat").show(Show::Text(stat::show)),
    CfType::new("memory.numa_stat").show(Show::Text(stat::show_numa)),
    CfType::new("memory.oom.group")
        .flags(NOT_ON_ROOT.union(CfFlags::NS_DELEGATABLE))
        .show(Show::I64(|cx| memcg(cx).oom_group.load(Relaxed).into()))
        .write(Write::Text(set_oom_group)),
    CfType::new("memory.reclaim")
        .flags(CfFlags::NS_DELEGATABLE)
        .write(Write::Text(force_reclaim)),
    CfType::new("memory.swap.current")
        .flags(NOT_ON_ROOT)
        .show(Show::U64(|_| 0)),
    CfType::new("memory.swap.high")
        .flags(NOT_ON_ROOT)
        .show(Show::Text(|cx, out| show_pages(&memcg(cx).swap_high, out)))
        .write(Write::Text(|cx, data| set(cx, data, |memcg| &memcg.swap_high))),
    CfType::new("memory.swap.max")
        .flags(NOT_ON_ROOT)
        .show(Show::Text(|cx, out| show_pages(&memcg(cx).swap_max, out)))
        .write(Write::Text(|cx, data| set(cx, data, |memcg| &memcg.swap_max))),
    CfType::new("memory.swap.events")
        .flags(NOT_ON_ROOT)
        .show(Show::Text(|_, out| out.bytes(b"high 0\nmax 0\nfail 0\n"))),
];
