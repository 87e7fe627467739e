//! System calls: shared memory (`shmget(2)`, `shmop(2)`, `shmctl(2)`).

use linux_object::error::Result;
use linux_object::ids::{PAGE_SIZE, UserAddr};
use linux_object::ipc::ids::IpcObject;
use linux_object::{bail, ensure};

use super::{IPC_INFO, IPC_RMID, IPC_SET, IPC_STAT, ipc_ns, perm_to_user, pid_to_user, update_perm};
use crate::abi;
use crate::context::Cx;
use crate::user_ptr::UserPtr;

const SHM_LOCK: i32 = 11;
const SHM_UNLOCK: i32 = 12;
const SHM_STAT: i32 = 13;
const SHM_INFO: i32 = 14;
const SHM_STAT_ANY: i32 = 15;

/// `shmget(2)`.
pub fn shmget(cx: &mut Cx<'_>, key: i32, size: usize, shmflg: u32) -> Result<usize> {
    let ns = ipc_ns(cx);
    let id = ns.content().shmget(&ns, cx.task, key, size as u64, shmflg)?;
    Ok(id as usize)
}

/// `shmat(2)`.
pub fn shmat(cx: &mut Cx<'_>, shmid: i32, shmaddr: UserAddr, shmflg: u32) -> Result<usize> {
    let ns = ipc_ns(cx);
    ensure!(shmid >= 0, EINVAL, "shmat: a negative id");
    Ok(ns.content().shmat(&ns, cx.task, shmid, shmaddr.0, shmflg)? as usize)
}

/// `shmdt(2)`.
pub fn shmdt(cx: &mut Cx<'_>, shmaddr: UserAddr) -> Result<usize> {
    ensure!(
        shmaddr.0.is_multiple_of(PAGE_SIZE as u64),
        EINVAL,
        "shmdt: address not page-aligned"
    );
    cx.task.mm().detach(shmaddr.0)?;
    Ok(0)
}

/// `shmctl(2)`.
pub fn shmctl(cx: &mut Cx<'_>, shmid: i32, cmd: i32, buf: UserAddr) -> Result<usize> {
    ensure!(shmid >= 0 && cmd >= 0, EINVAL, "shmctl: a negative id or command");
    match cmd {
        IPC_INFO => limits(cx, buf),
        SHM_INFO => usage(cx, buf),
        IPC_STAT | SHM_STAT | SHM_STAT_ANY => stat(cx, shmid, cmd, buf),
        IPC_SET => set(cx, shmid, buf),
        IPC_RMID => remove(cx, shmid),
        SHM_LOCK | SHM_UNLOCK => {
            let ns = ipc_ns(cx);
            let segment = ns.content().shm.find(shmid)?;
            ns.content().lock_shm(&ns, cx.task, &segment, cmd == SHM_LOCK)?;
            Ok(0)
        }
        _ => bail!(EINVAL, "shmctl: no such command"),
    }
}

fn limits(cx: &Cx<'_>, buf: UserAddr) -> Result<usize> {
    let ns = ipc_ns(cx);
    let limits = &ns.content().limits;
    let info = abi::ShmInfo64 {
        shmmax: limits.shmmax.get_u64(),
        shmmin: 1,
        shmmni: limits.shmmni.get_u64(),
        shmseg: limits.shmmni.get_u64(),
        shmall: limits.shmall.get_u64(),
        ..abi::ShmInfo64::default()
    };
    UserPtr::new(buf).write(cx, &info)?;
    Ok(ns.content().shm.usage().2 as usize)
}

fn usage(cx: &Cx<'_>, buf: UserAddr) -> Result<usize> {
    let ns = ipc_ns(cx);
    let content = ns.content();
    let (used, pages, highest) = content.shm.usage();
    let info = abi::ShmInfo {
        used_ids: used as i32,
        shm_tot: pages,
        shm_rss: content.shm_resident(),
        ..abi::ShmInfo::default()
    };
    UserPtr::new(buf).write(cx, &info)?;
    Ok(highest as usize)
}

fn stat(cx: &Cx<'_>, id: i32, cmd: i32, buf: UserAddr) -> Result<usize> {
    let ns = ipc_ns(cx);
    let content = ns.content();
    let segment = if cmd == IPC_STAT {
        content.shm.find(id)?
    } else {
        content.shm.at(id)?
    };
    let perm = segment.ipc_perm();
    if cmd != SHM_STAT_ANY {
        perm.check(ns.user_ns(), &cx.task.cred(), 0o444)?;
    }
    let attachments = segment.attachments();
    let ds = abi::ShmIdDs {
        perm: perm_to_user(cx, &perm),
        segsz: segment.size,
        atime: attachments.atime,
        dtime: attachments.dtime,
        ctime: attachments.ctime,
        cpid: pid_to_user(cx, Some(&segment.cpid)),
        lpid: pid_to_user(cx, attachments.lpid.as_ref()),
        nattch: attachments.nattch,
        ..abi::ShmIdDs::default()
    };
    UserPtr::new(buf).write(cx, &ds)?;
    Ok(if cmd == IPC_STAT { 0 } else { perm.id as usize })
}

fn set(cx: &Cx<'_>, id: i32, buf: UserAddr) -> Result<usize> {
    let new: abi::ShmIdDs = UserPtr::new(buf).read(cx)?;
    let ns = ipc_ns(cx);
    let segment = ns.content().shm.find(id)?;
    segment.ipc_perm().check_owner(ns.user_ns(), &cx.task.cred())?;
    update_perm(cx, segment.perm(), &new.perm)?;
    ns.content().touch_shm(cx.task, &segment);
    Ok(0)
}

fn remove(cx: &Cx<'_>, id: i32) -> Result<usize> {
    let ns = ipc_ns(cx);
    let segment = ns.content().shm.find(id)?;
    segment.ipc_perm().check_owner(ns.user_ns(), &cx.task.cred())?;
    ns.content().remove_shm(&segment)?;
    Ok(0)
}
