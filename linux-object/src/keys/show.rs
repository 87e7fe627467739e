//! `/proc/keys` and `/proc/key-users` (`keyrings(7)`).

use super::quota::limits;
use super::{Keys, Need};
use crate::error::Result;
use crate::fs::seq_file::SeqBuf;
use crate::ids::Kgid;
use crate::task::Task;

/// Room for a period: seconds, minutes, hours, days, weeks.
fn timeout(left: i64) -> (i64, char) {
    const MINUTE: i64 = 60;
    const HOUR: i64 = 60 * MINUTE;
    const DAY: i64 = 24 * HOUR;
    const WEEK: i64 = 7 * DAY;
    let units = [
        (MINUTE, 1, 's'),
        (HOUR, MINUTE, 'm'),
        (DAY, HOUR, 'h'),
        (WEEK, DAY, 'd'),
    ];
    let unit = units.iter().find(|(below, ..)| left < *below);
    unit.map_or((left / WEEK, 'w'), |(_, unit, letter)| (left / unit, *letter))
}

/// The keys whose owner the reader's user namespace knows, and that the reader may view.
pub fn show_keys(keys: &Keys, reader: &Task, out: &mut SeqBuf) -> Result<()> {
    let cred = reader.cred();
    let now = keys.now();
    for key in keys.all() {
        let usage = alloc::sync::Arc::strong_count(&key) - 1;
        let info = key.info();
        if cred.user_ns.from_kuid(info.uid).is_none() {
            continue;
        }
        let key = keys.with_possession(&cred, key);
        if key.permission(&cred, Need::View).is_err() {
            continue;
        }
        let key = &key.key;
        let flag = |set: bool, letter: char| if set { letter } else { '-' };
        write!(
            out,
            "{:08x} I{}-{}-{}{} {usage:5} ",
            key.serial.0,
            flag(info.revoked, 'R'),
            flag(key.in_quota, 'Q'),
            flag(info.negative.is_some(), 'N'),
            flag(info.invalidated, 'i'),
        )?;
        match info.expiry {
            None => out.bytes(b"perm")?,
            Some(_) if info.is_expired(now) => out.bytes(b"expd")?,
            Some(expiry) => {
                let (number, unit) = timeout(expiry - now);
                write!(out, "{:>4}", alloc::format!("{number}{unit}"))?;
            }
        }
        let uid = cred.user_ns.from_kuid_munged(info.uid).0;
        let gid = cred
            .user_ns
            .from_kgid_munged(info.gid.unwrap_or(Kgid(u32::MAX)))
            .0;
        write!(
            out,
            " {:08x} {uid:5} {gid:5} {:<9.9} ",
            info.perm.bits(),
            key.index.kind.name()
        )?;
        out.bytes(&key.index.description)?;
        if info.negative.is_none() {
            match (key.is_keyring(), key.len()) {
                (true, 0) => out.bytes(b": empty")?,
                (_, len) => write!(out, ": {len}")?,
            }
        }
        out.byte(b'\n')?;
    }
    Ok(())
}

/// What the users whom the reader's user namespace knows have, and may have.
pub fn show_users(keys: &Keys, reader: &Task, out: &mut SeqBuf) -> Result<()> {
    let cred = reader.cred();
    let users = keys.table.lock().users.clone();
    for (kuid, user) in users {
        let Some(uid) = cred.user_ns.from_kuid(kuid) else {
            continue;
        };
        let (maxkeys, maxbytes) = limits(&keys.sysctl, kuid);
        writeln!(
            out,
            "{:5}: {:5} {}/{} {}/{maxkeys} {}/{maxbytes}",
            uid.0, user.nkeys, user.nkeys, user.nkeys, user.qnkeys, user.qnbytes
        )?;
    }
    Ok(())
}
