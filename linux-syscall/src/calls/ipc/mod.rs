//! System calls of inter-process communication: System V and POSIX.

mod mqueue;
mod msg;
mod sem;
mod shm;

pub use mqueue::{mq_getsetattr, mq_notify, mq_open, mq_timedreceive, mq_timedsend, mq_unlink};
pub use msg::{msgctl, msgget, msgrcv, msgsnd};
pub use sem::{semctl, semget, semop, semtimedop};
pub use shm::{shmat, shmctl, shmdt, shmget};

use alloc::sync::Arc;
use core::sync::atomic::Ordering;

use linux_object::error::{Error, Result};
use linux_object::ids::{Gid, Uid};
use linux_object::ipc::perm::IpcPerm;
use linux_object::namespace::IpcNamespace;
use linux_object::sync::{SpinLock, class};
use linux_object::task::pid::Pid;

use crate::abi;
use crate::context::Cx;

/// `IPC_RMID`.
const IPC_RMID: i32 = 0;
/// `IPC_SET`.
const IPC_SET: i32 = 1;
/// `IPC_STAT`.
const IPC_STAT: i32 = 2;
/// `IPC_INFO`.
const IPC_INFO: i32 = 3;

/// The caller's IPC namespace.
fn ipc_ns(cx: &Cx<'_>) -> Arc<IpcNamespace> {
    cx.task.nsproxy().ipc_ns.clone()
}

/// Permissions as the caller's user namespace names the ids.
fn perm_to_user(cx: &Cx<'_>, perm: &IpcPerm) -> abi::IpcPerm {
    let user_ns = cx.task.user_ns();
    abi::IpcPerm {
        key: perm.key,
        uid: user_ns.from_kuid_munged(perm.uid).0,
        gid: user_ns.from_kgid_munged(perm.gid).0,
        cuid: user_ns.from_kuid_munged(perm.cuid).0,
        cgid: user_ns.from_kgid_munged(perm.cgid).0,
        mode: perm.mode,
        seq: perm.seq,
        ..abi::IpcPerm::default()
    }
}

/// `IPC_SET`: owner and mode that the caller gives.
fn update_perm(cx: &Cx<'_>, perm: &SpinLock<IpcPerm, class::Leaf>, new: &abi::IpcPerm) -> Result<()> {
    let user_ns = cx.task.user_ns();
    perm.lock().update(&user_ns, Uid(new.uid), Gid(new.gid), new.mode)
}

/// A process as the caller's pid namespace numbers it; 0 if it does not see it.
fn pid_to_user(cx: &Cx<'_>, pid: Option<&Arc<Pid>>) -> i32 {
    pid.map_or(0, |pid| pid.nr_in(cx.task.pid_ns()).0)
}

/// How a waiter went away without its event.
fn interrupted() -> Error {
    linux_object::err!(ERESTARTNOHAND)
}

fn load(value: &core::sync::atomic::AtomicI64) -> i64 {
    value.load(Ordering::Relaxed)
}
