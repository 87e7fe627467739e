//! `/proc/PID/{uid_map,gid_map,projid_map,setgroups,timens_offsets}`.

use super::base::PidCx;
use crate::cred::Capability;
use crate::error::Result;
use crate::fs::seq_file::SeqBuf;
use crate::namespace::{IdKind, TimeOffsets, UserNamespace};
use crate::{bail, ensure, err};

/// A map as the reader sees it: the outer ids in terms of the reader's user namespace, or of its
/// parent for the reader's own map.
fn show_map(cx: &PidCx<'_>, kind: IdKind, out: &mut SeqBuf) -> Result<()> {
    let ns = cx.task.user_ns();
    let Some(map) = ns.id_map(kind) else { return Ok(()) };
    let viewer = &cx.cred.user_ns;
    let lower: &UserNamespace = match viewer.parent() {
        Some(parent) if viewer.koid() == ns.koid() => parent,
        _ => viewer,
    };
    let lower_map = lower.id_map(kind);
    for extent in map.extents() {
        let shown = lower_map.and_then(|map| map.up(extent.lower)).unwrap_or(u32::MAX);
        writeln!(out, "{:10} {shown:10} {:10}", extent.first, extent.count)?;
    }
    Ok(())
}

fn store_map(cx: &PidCx<'_>, kind: IdKind, data: &[u8]) -> Result<usize> {
    let ns = cx.task.user_ns();
    ns.write_id_map(kind, data, cx.cred, &cx.reader.cred())?;
    Ok(data.len())
}

/// `uid_map`.
pub(super) fn show_uid_map(cx: &PidCx<'_>, out: &mut SeqBuf) -> Result<()> {
    show_map(cx, IdKind::Uid, out)
}
/// `uid_map`.
pub(super) fn store_uid_map(cx: &PidCx<'_>, data: &[u8]) -> Result<usize> {
    store_map(cx, IdKind::Uid, data)
}
/// `gid_map`.
pub(super) fn show_gid_map(cx: &PidCx<'_>, out: &mut SeqBuf) -> Result<()> {
    show_map(cx, IdKind::Gid, out)
}
/// `gid_map`.
pub(super) fn store_gid_map(cx: &PidCx<'_>, data: &[u8]) -> Result<usize> {
    store_map(cx, IdKind::Gid, data)
}
/// `projid_map`.
pub(super) fn show_projid_map(cx: &PidCx<'_>, out: &mut SeqBuf) -> Result<()> {
    show_map(cx, IdKind::Projid, out)
}
/// `projid_map`.
pub(super) fn store_projid_map(cx: &PidCx<'_>, data: &[u8]) -> Result<usize> {
    store_map(cx, IdKind::Projid, data)
}

/// `setgroups`.
pub(super) fn show_setgroups(cx: &PidCx<'_>, out: &mut SeqBuf) -> Result<()> {
    let allowed = cx.task.user_ns().setgroups_allowed();
    writeln!(out, "{}", if allowed { "allow" } else { "deny" })
}
/// `setgroups`.
pub(super) fn store_setgroups(cx: &PidCx<'_>, data: &[u8]) -> Result<usize> {
    let ns = cx.task.user_ns();
    ensure!(
        cx.cred.ns_capable(&ns, Capability::SYS_ADMIN),
        EACCES,
        "setgroups: no CAP_SYS_ADMIN in the namespace"
    );
    ns.write_setgroups(data)?;
    Ok(data.len())
}

const NANOS: i64 = 1_000_000_000;
/// Seconds that fit a `ktime_t`.
const KTIME_SEC_MAX: i64 = i64::MAX / NANOS;

/// `timens_offsets`, of the namespace where children are born.
pub(super) fn show_timens_offsets(cx: &PidCx<'_>, out: &mut SeqBuf) -> Result<()> {
    let nsproxy = cx.task.try_nsproxy().ok_or(err!(ESRCH))?;
    let offsets = nsproxy.time_ns_for_children.offsets();
    for (clock, offset) in [("monotonic", offsets.monotonic), ("boottime", offsets.boottime)] {
        let (seconds, nanos) = (offset.div_euclid(NANOS), offset.rem_euclid(NANOS));
        writeln!(out, "{clock:<10} {seconds:10} {nanos:9}")?;
    }
    Ok(())
}

/// One line: which clock, and its offset in seconds and nanoseconds.
fn parse_offset(line: &str) -> Option<(bool, i64, i64)> {
    let mut fields = line.split_ascii_whitespace();
    let monotonic = match fields.next()? {
        "monotonic" | "1" => true,
        "boottime" | "7" => false,
        _ => return None,
    };
    let seconds = fields.next()?.parse().ok()?;
    let nanos = fields.next()?.parse().ok()?;
    ((0..NANOS).contains(&nanos) && fields.next().is_none()).then_some((monotonic, seconds, nanos))
}

/// `timens_offsets`: up to two lines, until the first task has entered.
pub(super) fn store_timens_offsets(cx: &PidCx<'_>, data: &[u8]) -> Result<usize> {
    let text = core::str::from_utf8(data).map_err(|_| err!(EINVAL, "timens_offsets: not text"))?;
    let lines: alloc::vec::Vec<_> = text
        .trim_end_matches('\0')
        .lines()
        .map(|line| parse_offset(line).ok_or(err!(EINVAL, "timens_offsets: clock, seconds, nanoseconds")))
        .collect::<Result<_>>()?;
    ensure!(
        (1..=2).contains(&lines.len()),
        EINVAL,
        "timens_offsets: one or two lines"
    );
    let nsproxy = cx.task.try_nsproxy().ok_or(err!(ESRCH))?;
    let ns = &nsproxy.time_ns_for_children;
    ensure!(
        cx.cred.ns_capable(ns.user_ns(), Capability::SYS_TIME),
        EPERM,
        "timens_offsets: no CAP_SYS_TIME in the owner"
    );
    let now = (cx.kernel.time.now().as_nanos() / NANOS as u64) as i64;
    for &(_, seconds, _) in &lines {
        if !(-KTIME_SEC_MAX..=KTIME_SEC_MAX).contains(&seconds)
            || !(0..=KTIME_SEC_MAX / 2).contains(&(now + seconds))
        {
            bail!(ERANGE, "timens_offsets: the clock would be out of range");
        }
    }
    ns.set_offsets(|offsets: &mut TimeOffsets| {
        for &(monotonic, seconds, nanos) in &lines {
            let offset = seconds * NANOS + nanos;
            if monotonic {
                offsets.monotonic = offset;
            } else {
                offsets.boottime = offset;
            }
        }
        Ok(())
    })?;
    Ok(data.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_as_unshare_writes_them() {
        assert_eq!(parse_offset("7 1000 0"), Some((false, 1000, 0)));
        assert_eq!(
            parse_offset("monotonic -5 999999999"),
            Some((true, -5, 999_999_999))
        );
        for wrong in [
            "",
            "realtime 1 0",
            "monotonic 1",
            "monotonic 1 1000000000",
            "monotonic 1 0 0",
        ] {
            assert_eq!(parse_offset(wrong), None, "{wrong:?}");
        }
    }
}
