//! System calls: user and group ids, groups, capabilities (`credentials(7)`, `capabilities(7)`).

use alloc::sync::Arc;
use alloc::vec::Vec;

use linux_object::cred::{Capabilities, Capability, Cred, SetId};
use linux_object::error::Result;
use linux_object::ids::{Gid, Kgid, Kuid, PidNr, Uid};
use linux_object::{bail, ensure, err};

use crate::abi;
use crate::context::Cx;
use crate::user_ptr::{UserInPtr, UserOutPtr, UserPtr};

/// "Leave it as it is" in the `setre*` and `setres*` calls.
const KEEP: u32 = u32::MAX;
/// `NGROUPS_MAX`.
const NGROUPS_MAX: usize = 65536;

/// The kernel's id for an argument; `EINVAL` if it is not mapped here.
fn kuid(cred: &Cred, uid: u32) -> Result<Kuid> {
    cred.user_ns
        .make_kuid(Uid(uid))
        .ok_or(err!(EINVAL, "the uid is not mapped in the user namespace"))
}

fn kgid(cred: &Cred, gid: u32) -> Result<Kgid> {
    cred.user_ns
        .make_kgid(Gid(gid))
        .ok_or(err!(EINVAL, "the gid is not mapped in the user namespace"))
}

fn kuid_opt(cred: &Cred, uid: u32) -> Result<Option<Kuid>> {
    (uid != KEEP).then(|| kuid(cred, uid)).transpose()
}

fn kgid_opt(cred: &Cred, gid: u32) -> Result<Option<Kgid>> {
    (gid != KEEP).then(|| kgid(cred, gid)).transpose()
}

fn may_setuid(cred: &Cred) -> bool {
    cred.ns_capable(&cred.user_ns, Capability::SETUID)
}

fn may_setgid(cred: &Cred) -> bool {
    cred.ns_capable(&cred.user_ns, Capability::SETGID)
}

fn commit_uids(cx: &Cx<'_>, old: &Cred, mut new: Cred) -> Result<usize> {
    new.fix_capabilities(old, SetId::Real);
    cx.task.commit_creds(new);
    Ok(0)
}

/// `setuid(2)`.
pub fn setuid(cx: &mut Cx<'_>, uid: u32) -> Result<usize> {
    let old = cx.task.cred();
    let uid = kuid(&old, uid)?;
    let mut new = (*old).clone();
    if may_setuid(&old) {
        (new.uid, new.suid) = (uid, uid);
    } else {
        ensure!(uid == old.uid || uid == old.suid, EPERM, "setuid: no CAP_SETUID");
    }
    (new.euid, new.fsuid) = (uid, uid);
    commit_uids(cx, &old, new)
}

/// `setgid(2)`.
pub fn setgid(cx: &mut Cx<'_>, gid: u32) -> Result<usize> {
    let old = cx.task.cred();
    let gid = kgid(&old, gid)?;
    let mut new = (*old).clone();
    if may_setgid(&old) {
        (new.gid, new.sgid) = (gid, gid);
    } else {
        ensure!(gid == old.gid || gid == old.sgid, EPERM, "setgid: no CAP_SETGID");
    }
    (new.egid, new.fsgid) = (gid, gid);
    cx.task.commit_creds(new);
    Ok(0)
}

/// `setreuid(2)`.
pub fn setreuid(cx: &mut Cx<'_>, ruid: u32, euid: u32) -> Result<usize> {
    let old = cx.task.cred();
    let (ruid, euid) = (kuid_opt(&old, ruid)?, kuid_opt(&old, euid)?);
    let mut new = (*old).clone();
    if let Some(ruid) = ruid {
        ensure!(
            [old.uid, old.euid].contains(&ruid) || may_setuid(&old),
            EPERM,
            "setreuid: no CAP_SETUID"
        );
        new.uid = ruid;
    }
    if let Some(euid) = euid {
        ensure!(
            [old.uid, old.euid, old.suid].contains(&euid) || may_setuid(&old),
            EPERM,
            "setreuid: no CAP_SETUID"
        );
        new.euid = euid;
    }
    if ruid.is_some() || euid.is_some_and(|euid| euid != old.uid) {
        new.suid = new.euid;
    }
    new.fsuid = new.euid;
    commit_uids(cx, &old, new)
}

/// `setregid(2)`.
pub fn setregid(cx: &mut Cx<'_>, rgid: u32, egid: u32) -> Result<usize> {
    let old = cx.task.cred();
    let (rgid, egid) = (kgid_opt(&old, rgid)?, kgid_opt(&old, egid)?);
    let mut new = (*old).clone();
    if let Some(rgid) = rgid {
        ensure!(
            [old.gid, old.egid].contains(&rgid) || may_setgid(&old),
            EPERM,
            "setregid: no CAP_SETGID"
        );
        new.gid = rgid;
    }
    if let Some(egid) = egid {
        ensure!(
            [old.gid, old.egid, old.sgid].contains(&egid) || may_setgid(&old),
            EPERM,
            "setregid: no CAP_SETGID"
        );
        new.egid = egid;
    }
    if rgid.is_some() || egid.is_some_and(|egid| egid != old.gid) {
        new.sgid = new.egid;
    }
    new.fsgid = new.egid;
    cx.task.commit_creds(new);
    Ok(0)
}

/// `setresuid(2)`.
pub fn setresuid(cx: &mut Cx<'_>, ruid: u32, euid: u32, suid: u32) -> Result<usize> {
    let old = cx.task.cred();
    let ids = [
        kuid_opt(&old, ruid)?,
        kuid_opt(&old, euid)?,
        kuid_opt(&old, suid)?,
    ];
    let current = [old.uid, old.euid, old.suid];
    ensure!(
        ids.iter().flatten().all(|id| current.contains(id)) || may_setuid(&old),
        EPERM,
        "setresuid: no CAP_SETUID"
    );
    let mut new = (*old).clone();
    new.uid = ids[0].unwrap_or(old.uid);
    new.euid = ids[1].unwrap_or(old.euid);
    new.suid = ids[2].unwrap_or(old.suid);
    new.fsuid = new.euid;
    commit_uids(cx, &old, new)
}

/// `setresgid(2)`.
pub fn setresgid(cx: &mut Cx<'_>, rgid: u32, egid: u32, sgid: u32) -> Result<usize> {
    let old = cx.task.cred();
    let ids = [
        kgid_opt(&old, rgid)?,
        kgid_opt(&old, egid)?,
        kgid_opt(&old, sgid)?,
    ];
    let current = [old.gid, old.egid, old.sgid];
    ensure!(
        ids.iter().flatten().all(|id| current.contains(id)) || may_setgid(&old),
        EPERM,
        "setresgid: no CAP_SETGID"
    );
    let mut new = (*old).clone();
    new.gid = ids[0].unwrap_or(old.gid);
    new.egid = ids[1].unwrap_or(old.egid);
    new.sgid = ids[2].unwrap_or(old.sgid);
    new.fsgid = new.egid;
    cx.task.commit_creds(new);
    Ok(0)
}

/// `getresuid(2)`.
pub fn getresuid(
    cx: &mut Cx<'_>,
    ruid: UserOutPtr<u32>,
    euid: UserOutPtr<u32>,
    suid: UserOutPtr<u32>,
) -> Result<usize> {
    let cred = cx.task.cred();
    for (to, id) in [(ruid, cred.uid), (euid, cred.euid), (suid, cred.suid)] {
        to.write(cx, &cred.user_ns.from_kuid_munged(id).0)?;
    }
    Ok(0)
}

/// `getresgid(2)`.
pub fn getresgid(
    cx: &mut Cx<'_>,
    rgid: UserOutPtr<u32>,
    egid: UserOutPtr<u32>,
    sgid: UserOutPtr<u32>,
) -> Result<usize> {
    let cred = cx.task.cred();
    for (to, id) in [(rgid, cred.gid), (egid, cred.egid), (sgid, cred.sgid)] {
        to.write(cx, &cred.user_ns.from_kgid_munged(id).0)?;
    }
    Ok(0)
}

/// `setfsuid(2)`: returns the old id whatever happens.
pub fn setfsuid(cx: &mut Cx<'_>, fsuid: u32) -> Result<usize> {
    let old = cx.task.cred();
    let before = old.user_ns.from_kuid_munged(old.fsuid).0 as usize;
    if let Some(id) = old.user_ns.make_kuid(Uid(fsuid))
        && id != old.fsuid
        && ([old.uid, old.euid, old.suid].contains(&id) || may_setuid(&old))
    {
        let mut new = (*old).clone();
        new.fsuid = id;
        new.fix_capabilities(&old, SetId::Fs);
        cx.task.commit_creds(new);
    }
    Ok(before)
}

/// `setfsgid(2)`, likewise.
pub fn setfsgid(cx: &mut Cx<'_>, fsgid: u32) -> Result<usize> {
    let old = cx.task.cred();
    let before = old.user_ns.from_kgid_munged(old.fsgid).0 as usize;
    if let Some(id) = old.user_ns.make_kgid(Gid(fsgid))
        && id != old.fsgid
        && ([old.gid, old.egid, old.sgid].contains(&id) || may_setgid(&old))
    {
        let mut new = (*old).clone();
        new.fsgid = id;
        cx.task.commit_creds(new);
    }
    Ok(before)
}

/// `getgroups(2)`.
pub fn getgroups(cx: &mut Cx<'_>, size: i32, list: UserOutPtr<u32>) -> Result<usize> {
    let cred = cx.task.cred();
    ensure!(size >= 0, EINVAL, "getgroups: a negative size");
    if size > 0 {
        ensure!(
            cred.groups.len() <= size as usize,
            EINVAL,
            "getgroups: the list is too small"
        );
        for (n, gid) in cred.groups.iter().enumerate() {
            list.at(n).write(cx, &cred.user_ns.from_kgid_munged(*gid).0)?;
        }
    }
    Ok(cred.groups.len())
}

/// `setgroups(2)`.
pub fn setgroups(cx: &mut Cx<'_>, size: usize, list: UserInPtr<u32>) -> Result<usize> {
    let old = cx.task.cred();
    ensure!(
        may_setgid(&old) && old.user_ns.may_setgroups(),
        EPERM,
        "setgroups: no CAP_SETGID, or denied in the user namespace"
    );
    // The C type is an int.
    let size = size as u32 as usize;
    ensure!(size <= NGROUPS_MAX, EINVAL, "setgroups: more than NGROUPS_MAX");
    let mut groups: Vec<Kgid> = Vec::new();
    if groups.try_reserve_exact(size).is_err() {
        bail!(ENOMEM, "setgroups: no memory");
    }
    for gid in list.read_vec(cx, size)? {
        groups.push(kgid(&old, gid)?);
    }
    groups.sort_unstable();
    let mut new = (*old).clone();
    new.groups = groups.into();
    cx.task.commit_creds(new);
    Ok(0)
}

const CAPABILITY_VERSION_1: u32 = 0x1998_0330;
const CAPABILITY_VERSION_2: u32 = 0x2007_1026;
const CAPABILITY_VERSION_3: u32 = 0x2008_0522;

/// How many words of capabilities the version in the header has; an unknown one is answered with
/// ours.
fn cap_words(cx: &Cx<'_>, header: UserPtr<abi::CapHeader>) -> Result<Option<usize>> {
    let version = UserInPtr::<u32>::new(header.addr()).read(cx)?;
    Ok(match version {
        CAPABILITY_VERSION_1 => Some(1),
        CAPABILITY_VERSION_2 | CAPABILITY_VERSION_3 => Some(2),
        _ => {
            UserOutPtr::<u32>::new(header.addr()).write(cx, &CAPABILITY_VERSION_3)?;
            None
        }
    })
}

/// `capget(2)`.
pub fn capget(
    cx: &mut Cx<'_>,
    header: UserPtr<abi::CapHeader>,
    data: UserOutPtr<abi::CapData>,
) -> Result<usize> {
    let words = cap_words(cx, header)?;
    if data.is_null() {
        return Ok(0);
    }
    let Some(words) = words else {
        bail!(EINVAL, "capget: unknown version");
    };
    let pid = header.read(cx)?.pid;
    ensure!(pid >= 0, EINVAL, "capget: not a pid");
    let cred: Arc<Cred> = if pid == 0 || PidNr(pid) == cx.task.tid() {
        cx.task.cred()
    } else {
        let task = cx.kernel.tasks.find_task(cx.task.pid_ns(), PidNr(pid));
        task.ok_or(err!(ESRCH, "no such process"))?.cred()
    };
    for n in 0..words {
        let word = |set: Capabilities| (set.bits() >> (32 * n)) as u32;
        let part = abi::CapData {
            effective: word(cred.cap_effective),
            permitted: word(cred.cap_permitted),
            inheritable: word(cred.cap_inheritable),
        };
        data.at(n).write(cx, &part)?;
    }
    Ok(0)
}

/// `capset(2)`.
pub fn capset(
    cx: &mut Cx<'_>,
    header: UserPtr<abi::CapHeader>,
    data: UserInPtr<abi::CapData>,
) -> Result<usize> {
    let Some(words) = cap_words(cx, header)? else {
        bail!(EINVAL, "capset: unknown version");
    };
    let pid = header.read(cx)?.pid;
    ensure!(
        pid == 0 || PidNr(pid) == cx.task.tid(),
        EPERM,
        "capset: of another process"
    );
    let (mut effective, mut permitted, mut inheritable) = (0u64, 0u64, 0u64);
    for n in 0..words {
        let part = data.at(n).read(cx)?;
        effective |= u64::from(part.effective) << (32 * n);
        permitted |= u64::from(part.permitted) << (32 * n);
        inheritable |= u64::from(part.inheritable) << (32 * n);
    }
    let effective = Capabilities::from_bits_truncate(effective);
    let permitted = Capabilities::from_bits_truncate(permitted);
    let inheritable = Capabilities::from_bits_truncate(inheritable);

    let old = cx.task.cred();
    ensure!(
        old.ns_capable(&old.user_ns, Capability::SETPCAP)
            || (old.cap_inheritable | old.cap_permitted).contains(inheritable),
        EPERM,
        "capset: inheritable ones that are not permitted"
    );
    ensure!(
        (old.cap_inheritable | old.cap_bounding).contains(inheritable),
        EPERM,
        "capset: inheritable ones outside the bounding set"
    );
    ensure!(
        old.cap_permitted.contains(permitted),
        EPERM,
        "capset: more permitted ones"
    );
    ensure!(
        permitted.contains(effective),
        EPERM,
        "capset: effective ones that are not permitted"
    );
    let mut new = (*old).clone();
    new.cap_effective = effective;
    new.cap_permitted = permitted;
    new.cap_inheritable = inheritable;
    new.cap_ambient &= permitted & inheritable;
    cx.task.commit_creds(new);
    Ok(0)
}
