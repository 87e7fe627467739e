//! What can be set on a task by writing to its files.

use alloc::sync::Arc;
use core::sync::atomic::Ordering;

use super::base::PidCx;
use crate::cred::Capability;
use crate::error::Result;
use crate::fs::seq_file::{SeqBuf, until_nul};
use crate::mm::Clear;
use crate::{bail, ensure, err};

/// A decimal number with blanks around it.
fn number(data: &[u8]) -> Result<i64> {
    let text =
        core::str::from_utf8(until_nul(data).trim_ascii()).map_err(|_| err!(EINVAL, "proc: not a number"))?;
    let parsed = match text.strip_prefix("0x") {
        Some(hex) => i64::from_str_radix(hex, 16),
        None => text.parse(),
    };
    parsed.map_err(|_| err!(EINVAL, "proc: not a number"))
}

/// `comm`: only threads of the process itself.
pub(super) fn store_comm(cx: &PidCx<'_>, data: &[u8]) -> Result<usize> {
    ensure!(
        Arc::ptr_eq(cx.reader.group(), cx.task.group()),
        EINVAL,
        "proc: comm of another process"
    );
    let name = data.strip_suffix(b"\n").unwrap_or(data);
    cx.task.set_comm(name);
    Ok(data.len())
}

/// `clear_refs`: 1 to 3 forget which pages were used, 5 how many there were at most.
pub(super) fn store_clear_refs(cx: &PidCx<'_>, data: &[u8]) -> Result<usize> {
    let which = match number(data)? {
        1 => Some(Clear::All),
        2 => Some(Clear::Anonymous),
        3 => Some(Clear::Mapped),
        5 => None,
        _ => bail!(EINVAL, "clear_refs: 1, 2, 3 or 5; there are no soft-dirty bits"),
    };
    if let Some(mm) = cx.task.try_mm() {
        match which {
            Some(which) => mm.clear_refs(which),
            None => mm.reset_rss_peak(),
        }
    }
    Ok(data.len())
}

const OOM_ADJ_MAX: i64 = 1000;

/// `oom_score_adj`.
pub(super) fn show_oom_score_adj(cx: &PidCx<'_>, out: &mut SeqBuf) -> Result<()> {
    writeln!(out, "{}", cx.task.group().oom_score_adj.load(Ordering::Relaxed))
}

/// `oom_score_adj`: from -1000 to 1000; below what an administrator has set only with
/// `CAP_SYS_RESOURCE`.
pub(super) fn store_oom_score_adj(cx: &PidCx<'_>, data: &[u8]) -> Result<usize> {
    let value = number(data)?;
    ensure!(
        (-OOM_ADJ_MAX..=OOM_ADJ_MAX).contains(&value),
        EINVAL,
        "oom_score_adj: -1000 to 1000"
    );
    set_oom_score_adj(cx, value as i32)?;
    Ok(data.len())
}

fn set_oom_score_adj(cx: &PidCx<'_>, value: i32) -> Result<()> {
    let group = cx.task.group();
    let capable = cx.reader.cred().capable(Capability::SYS_RESOURCE);
    ensure!(
        capable || value >= group.oom_score_adj_min.load(Ordering::Relaxed),
        EACCES,
        "oom_score_adj: lowering needs CAP_SYS_RESOURCE"
    );
    group.oom_score_adj.store(value, Ordering::Relaxed);
    if capable {
        group.oom_score_adj_min.store(value, Ordering::Relaxed);
    }
    Ok(())
}

/// `oom_adj`, the old scale of -17 to 15.
pub(super) fn show_oom_adj(cx: &PidCx<'_>, out: &mut SeqBuf) -> Result<()> {
    let value = cx.task.group().oom_score_adj.load(Ordering::Relaxed);
    writeln!(out, "{}", if value == 1000 { 15 } else { value * 17 / 1000 })
}

/// `oom_adj`.
pub(super) fn store_oom_adj(cx: &PidCx<'_>, data: &[u8]) -> Result<usize> {
    let value = number(data)?;
    ensure!((-17..=15).contains(&value), EINVAL, "oom_adj: -17 to 15");
    set_oom_score_adj(
        cx,
        if value == 15 {
            1000
        } else {
            value as i32 * 1000 / 17
        },
    )?;
    Ok(data.len())
}

/// `oom_score`: the share of memory in thousandths, moved by the adjustment and scaled as
/// `proc_oom_score` does.
pub(super) fn show_oom_score(cx: &PidCx<'_>, out: &mut SeqBuf) -> Result<()> {
    let total = cx.kernel.hal.frame_stats().total.max(1) as i64;
    let adj = cx.task.group().oom_score_adj.load(Ordering::Relaxed) as i64;
    let points = match cx.task.try_mm() {
        Some(mm) if adj != -OOM_ADJ_MAX => {
            (mm.rss() + mm.page_table_bytes() / 4096) as i64 + adj * total / OOM_ADJ_MAX
        }
        _ => return writeln!(out, "0"),
    };
    writeln!(out, "{}", ((1000 + points * 1000 / total) * 2 / 3).max(0))
}

/// `coredump_filter`: core files are not written, so the default cannot be changed.
pub(super) fn show_coredump_filter(cx: &PidCx<'_>, out: &mut SeqBuf) -> Result<()> {
    match cx.task.try_mm() {
        Some(_) => writeln!(out, "00000033"),
        None => Ok(()),
    }
}

/// `coredump_filter`.
pub(super) fn store_coredump_filter(_cx: &PidCx<'_>, _data: &[u8]) -> Result<usize> {
    bail!(EINVAL, "coredump_filter: no core files are written")
}

/// `timerslack_ns` of another process takes `CAP_SYS_NICE`.
fn may_slack(cx: &PidCx<'_>) -> Result<()> {
    let same = Arc::ptr_eq(cx.reader, cx.task);
    let target = cx.task.cred();
    ensure!(
        same || cx.reader.cred().ns_capable(&target.user_ns, Capability::SYS_NICE),
        EPERM,
        "timerslack_ns: no CAP_SYS_NICE"
    );
    Ok(())
}

/// `timerslack_ns`.
pub(super) fn show_timerslack(cx: &PidCx<'_>, out: &mut SeqBuf) -> Result<()> {
    may_slack(cx)?;
    writeln!(out, "{}", cx.task.timer_slack_ns.load(Ordering::Relaxed))
}

/// `timerslack_ns`; 0 goes back to the default.
pub(super) fn store_timerslack(cx: &PidCx<'_>, data: &[u8]) -> Result<usize> {
    let value = number(data)?;
    ensure!(value >= 0, EINVAL, "timerslack_ns: not negative");
    may_slack(cx)?;
    let slack = match value as u64 {
        0 => cx.task.default_timer_slack_ns.load(Ordering::Relaxed),
        slack => slack,
    };
    cx.task.timer_slack_ns.store(slack, Ordering::Relaxed);
    Ok(data.len())
}
