//! Ancillary data (`cmsg(3)`): from user space to kernel objects and back.

use alloc::sync::Arc;
use alloc::vec::Vec;

use linux_object::cred::Capability;
use linux_object::error::Result;
use linux_object::fs::OpenFile;
use linux_object::ids::{Fd, Gid, PidNr, Uid};
use linux_object::net::{ControlMessage, MsgFlags, RecvMsg, SOL_SOCKET, ScmCreds};
use linux_object::{bail, ensure, err};

use super::super::pipe::install;
use crate::abi;
use crate::context::Cx;
use crate::user_ptr::UserOutPtr;

const SCM_RIGHTS: i32 = 1;
const SCM_CREDENTIALS: i32 = 2;
/// Files that one message carries at most.
const SCM_MAX_FD: usize = 253;
const HEADER: usize = size_of::<abi::CMsgHdr>();

/// What a message carries besides bytes.
#[derive(Default, Clone)]
pub struct Control {
    pub rights: Vec<Arc<OpenFile>>,
    pub creds: Option<ScmCreds>,
    /// What is not of `SOL_SOCKET`.
    pub others: Vec<ControlMessage>,
}

fn word(raw: &[u8], at: usize) -> u32 {
    raw.get(at..)
        .and_then(|raw| raw.first_chunk())
        .map_or(0, |&bytes| u32::from_ne_bytes(bytes))
}

/// Takes the control buffer of a message apart (Linux's `__scm_send`).
pub fn parse(cx: &Cx<'_>, raw: &[u8]) -> Result<Control> {
    let mut control = Control::default();
    let mut at = 0;
    while raw.len().saturating_sub(at) >= HEADER {
        let len = word(raw, at) as u64 | (word(raw, at + 4) as u64) << 32;
        let (level, kind) = (word(raw, at + 8) as i32, word(raw, at + 12) as i32);
        ensure!(
            len >= HEADER as u64 && len <= (raw.len() - at) as u64,
            EINVAL,
            "a control message does not fit its buffer"
        );
        let data = &raw[at + HEADER..at + len as usize];
        if level == SOL_SOCKET {
            match kind {
                SCM_RIGHTS => add_rights(cx, &mut control.rights, data)?,
                SCM_CREDENTIALS => control.creds = Some(check_creds(cx, data)?),
                _ => bail!(EINVAL, "no such control message"),
            }
        } else {
            control.others.push((level, kind, data.to_vec()));
        }
        at += (len as usize).next_multiple_of(8);
    }
    Ok(control)
}

fn add_rights(cx: &Cx<'_>, rights: &mut Vec<Arc<OpenFile>>, data: &[u8]) -> Result<()> {
    let count = data.len() / 4;
    ensure!(
        rights.len() + count <= SCM_MAX_FD,
        EINVAL,
        "more files than one message carries"
    );
    let table = cx.task.files();
    for n in 0..count {
        rights.push(table.get(Fd(word(data, 4 * n) as i32))?);
    }
    Ok(())
}

/// Whether the caller may claim these credentials (Linux's `scm_check_creds`).
fn check_creds(cx: &Cx<'_>, data: &[u8]) -> Result<ScmCreds> {
    ensure!(
        data.len() == size_of::<abi::UCred>(),
        EINVAL,
        "not a struct ucred"
    );
    let (pid, uid, gid) = (word(data, 0) as i32, word(data, 4), word(data, 8));
    let cred = cx.task.cred();
    let user_ns = &cred.user_ns;
    let ns = cx.task.pid_ns();
    let (Some(uid), Some(gid)) = (user_ns.make_kuid(Uid(uid)), user_ns.make_kgid(Gid(gid))) else {
        bail!(EINVAL, "the ids are not mapped");
    };
    let own_pid = &cx.task.group().tgid;
    ensure!(
        own_pid.nr_in(ns) == PidNr(pid) || cred.ns_capable(ns.user_ns(), Capability::SYS_ADMIN),
        EPERM,
        "another process's pid"
    );
    let own_uid = [cred.uid, cred.euid, cred.suid].contains(&uid);
    let own_gid = [cred.gid, cred.egid, cred.sgid].contains(&gid);
    ensure!(
        own_uid || cred.ns_capable(user_ns, Capability::SETUID),
        EPERM,
        "another user's id"
    );
    ensure!(
        own_gid || cred.ns_capable(user_ns, Capability::SETGID),
        EPERM,
        "another group's id"
    );
    let pid = if own_pid.nr_in(ns) == PidNr(pid) {
        own_pid.clone()
    } else {
        let found = cx.kernel.tasks.find_pid(ns, PidNr(pid));
        found.ok_or(err!(ESRCH, "no such process"))?
    };
    Ok(ScmCreds {
        pid: Some(pid),
        uid,
        gid,
    })
}

/// Writes what came with a message to `room` bytes of user space; returns how many were used. What
/// does not fit sets `MSG_CTRUNC`; files that do not fit are closed.
pub fn write(cx: &Cx<'_>, msg: &mut RecvMsg<'_>, to: UserOutPtr<u8>, room: usize) -> usize {
    let mut used = 0;
    for (level, kind, body) in core::mem::take(&mut msg.control) {
        let at = UserOutPtr::new(to.addr().offset(used as u64));
        match put(cx, at, room - used, level, kind, &body) {
            Some(space) => used += space,
            None => msg.out_flags |= MsgFlags::CTRUNC,
        }
    }
    if let Some(creds) = msg.creds.take() {
        let cred = cx.task.cred();
        let pid = creds.pid.map_or(0, |pid| pid.nr_in(cx.task.pid_ns()).0 as u32);
        let uid = cred.user_ns.from_kuid_munged(creds.uid).0;
        let gid = cred.user_ns.from_kgid_munged(creds.gid).0;
        let body = [pid, uid, gid].map(u32::to_ne_bytes).concat();
        let at = UserOutPtr::new(to.addr().offset(used as u64));
        match put(cx, at, room - used, SOL_SOCKET, SCM_CREDENTIALS, &body) {
            Some(space) => used += space,
            None => msg.out_flags |= MsgFlags::CTRUNC,
        }
    }
    let rights = core::mem::take(&mut msg.rights);
    if rights.is_empty() {
        return used;
    }
    let fit = (room - used).saturating_sub(HEADER) / 4;
    let cloexec = msg.flags.contains(MsgFlags::CMSG_CLOEXEC);
    let mut body = Vec::new();
    let count = rights.len();
    for file in rights.into_iter().take(fit) {
        let Ok(fd) = install(cx, file, cloexec) else {
            break;
        };
        body.extend_from_slice(&(fd as u32).to_ne_bytes());
    }
    if body.len() / 4 < count {
        msg.out_flags |= MsgFlags::CTRUNC;
    }
    if !body.is_empty() {
        let at = UserOutPtr::new(to.addr().offset(used as u64));
        used += put(cx, at, room - used, SOL_SOCKET, SCM_RIGHTS, &body).unwrap_or(0);
    }
    used
}

/// Writes one control message if it fits; returns the room that it takes with its padding.
fn put(cx: &Cx<'_>, to: UserOutPtr<u8>, room: usize, level: i32, kind: i32, body: &[u8]) -> Option<usize> {
    let len = HEADER + body.len();
    if len > room {
        return None;
    }
    let header = abi::CMsgHdr {
        len: len as u64,
        level,
        kind,
    };
    UserOutPtr::new(to.addr()).write(cx, &header).ok()?;
    let at = UserOutPtr::new(to.addr().offset(HEADER as u64));
    at.write_slice(cx, body).ok()?;
    Some(len.next_multiple_of(8).min(room))
}
