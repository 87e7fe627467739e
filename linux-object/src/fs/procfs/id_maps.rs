//! `/proc/PID/{uid_map,gid_map,projid_map,setgroups,timens_offsets}`.

use alloc::sync::Arc;

use super::base::PidCx;
use crate::cred::{Capability, Cred};
use crate::error::Result;
use crate::fs::seq_file::{SeqBuf, until_nul};
use crate::ids::PAGE_SIZE;
use crate::namespace::{IdKind, TimeOffsets, UserNamespace};
use crate::task::Task;
use crate::{bail, ensure, err};

/// A map as the opener sees it: the outer ids in terms of the opener's user namespace, or of its
/// parent for the opener's own map.
fn show_map(ns: &UserNamespace, viewer: &Cred, kind: IdKind, out: &mut SeqBuf) -> Result<()> {
    let Some(map) = ns.id_map(kind) else { return Ok(()) };
    let viewer = &viewer.user_ns;
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

fn store_map(
    ns: &Arc<UserNamespace>,
    kind: IdKind,
    opener: &Cred,
    writer: &Task,
    data: &[u8],
) -> Result<usize> {
    ns.write_id_map(kind, data, opener, &writer.cred())?;
    Ok(data.len())
}

macro_rules! id_map_files {
    ($($kind:ident: $name:literal $show:ident $store:ident;)*) => {$(
        #[doc = concat!("`", $name, "`.")]
        pub(super) fn $show(ns: &UserNamespace, viewer: &Cred, out: &mut SeqBuf) -> Result<()> {
            show_map(ns, viewer, IdKind::$kind, out)
        }
        #[doc = concat!("`", $name, "`.")]
        pub(super) fn $store(
            ns: &Arc<UserNamespace>,
            opener: &Cred,
            writer: &Arc<Task>,
            data: &[u8],
        ) -> Result<usize> {
            store_map(ns, IdKind::$kind, opener, writer, data)
        }
    )*};
}

id_map_files! {
    Uid: "uid_map" show_uid_map store_uid_map;
    Gid: "gid_map" show_gid_map store_gid_map;
    Projid: "projid_map" show_projid_map store_projid_map;
}

/// `setgroups`.
pub(super) fn show_setgroups(ns: &UserNamespace, _viewer: &Cred, out: &mut SeqBuf) -> Result<()> {
    writeln!(out, "{}", if ns.setgroups_allowed() { "allow" } else { "deny" })
}
/// `setgroups`; who opens it for writing has been asked for `CAP_SYS_ADMIN`.
pub(super) fn store_setgroups(
    ns: &Arc<UserNamespace>,
    _opener: &Cred,
    _writer: &Arc<Task>,
    data: &[u8],
) -> Result<usize> {
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

/// One line: which clock, and its offset in seconds and nanoseconds. What follows is ignored.
fn parse_offset(line: &str) -> Option<(bool, i64, i64)> {
    let mut fields = line.split_ascii_whitespace();
    let monotonic = match fields.next()? {
        "monotonic" | "1" => true,
        "boottime" | "7" => false,
        _ => return None,
    };
    let seconds = fields.next()?.parse().ok()?;
    let nanos = fields.next()?.parse().ok()?;
    (0..NANOS).contains(&nanos).then_some((monotonic, seconds, nanos))
}

/// `timens_offsets`: up to two lines, until the first task has entered; more are left unread.
pub(super) fn store_timens_offsets(cx: &PidCx<'_>, data: &[u8]) -> Result<usize> {
    ensure!(data.len() < PAGE_SIZE, EINVAL, "timens_offsets: a page or more");
    let text = until_nul(data);
    let ends_early = text.len() < data.len();
    let text = core::str::from_utf8(text).map_err(|_| err!(EINVAL, "timens_offsets: not text"))?;
    let mut lines = alloc::vec::Vec::new();
    let mut used = 0;
    for line in text.split_inclusive('\n').take(2) {
        lines.push(parse_offset(line).ok_or(err!(EINVAL, "timens_offsets: clock, seconds, nanoseconds"))?);
        used += line.len();
    }
    ensure!(!lines.is_empty(), EINVAL, "timens_offsets: no line");
    let nsproxy = cx.task.try_nsproxy().ok_or(err!(ESRCH))?;
    let ns = &nsproxy.time_ns_for_children;
    ensure!(
        cx.cred.ns_capable(ns.user_ns(), Capability::SYS_TIME),
        EPERM,
        "timens_offsets: no CAP_SYS_TIME in the owner"
    );
    let now = i128::from(cx.kernel.time.now().as_nanos());
    for &(_, seconds, nanos) in &lines {
        let shifted = now + i128::from(seconds) * i128::from(NANOS) + i128::from(nanos);
        if !(-KTIME_SEC_MAX..=KTIME_SEC_MAX).contains(&seconds)
            || !(0..=i128::from(KTIME_SEC_MAX / 2)).contains(&shifted.div_euclid(i128::from(NANOS)))
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
    Ok(match ends_early && used == text.len() {
        true => data.len(),
        false => used,
    })
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
        for wrong in ["", "realtime 1 0", "monotonic 1", "monotonic 1 1000000000"] {
            assert_eq!(parse_offset(wrong), None, "{wrong:?}");
        }
    }
}
