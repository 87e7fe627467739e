//! System calls: semaphores (`semget(2)`, `semop(2)`, `semctl(2)`).

use alloc::sync::Arc;
use alloc::vec::Vec;

use linux_object::error::Result;
use linux_object::ids::UserAddr;
use linux_object::ipc::ids::IpcObject;
use linux_object::ipc::perm::IpcFlags;
use linux_object::ipc::seconds;
use linux_object::ipc::sem::{Operation, SEMVMX, SemArray, SemOp, SemWaiter};
use linux_object::time::Ktime;
use linux_object::{bail, ensure, err};
use smallvec::SmallVec;

use super::{IPC_INFO, IPC_RMID, IPC_SET, IPC_STAT, ipc_ns, load, perm_to_user, pid_to_user, update_perm};
use crate::abi;
use crate::clock::{Until, wait_for};
use crate::context::Cx;
use crate::user_ptr::{UserInPtr, UserOutPtr, UserPtr};
use crate::wait_until::WaitError;

const GETPID: i32 = 11;
const GETVAL: i32 = 12;
const GETALL: i32 = 13;
const GETNCNT: i32 = 14;
const GETZCNT: i32 = 15;
const SETVAL: i32 = 16;
const SETALL: i32 = 17;
const SEM_STAT: i32 = 18;
const SEM_INFO: i32 = 19;
const SEM_STAT_ANY: i32 = 20;
const SEM_UNDO: i16 = 0x1000;

/// `semget(2)`.
pub fn semget(cx: &mut Cx<'_>, key: i32, nsems: i32, semflg: u32) -> Result<usize> {
    let ns = ipc_ns(cx);
    let id = ns.content().semget(&ns, cx.task, key, nsems, semflg)?;
    Ok(id as usize)
}

/// `semop(2)`.
pub fn semop(cx: &mut Cx<'_>, semid: i32, sops: UserInPtr<abi::SemBuf>, nsops: usize) -> Result<usize> {
    operate(cx, semid, sops, nsops, Ktime::MAX)
}

/// `semtimedop(2)`.
pub fn semtimedop(
    cx: &mut Cx<'_>,
    semid: i32,
    sops: UserInPtr<abi::SemBuf>,
    nsops: usize,
    timeout: UserInPtr<abi::Timespec>,
) -> Result<usize> {
    let Some(timeout) = timeout.read_opt(cx)? else {
        return operate(cx, semid, sops, nsops, Ktime::MAX);
    };
    check_count(cx, nsops)?;
    // A pointer is looked at before the time-out is.
    if !timeout.is_valid() {
        sops.read_vec(cx, nsops)?;
    }
    let deadline = timeout.deadline(cx)?;
    operate(cx, semid, sops, nsops, deadline)
}

fn check_count(cx: &Cx<'_>, nsops: usize) -> Result<()> {
    let most = ipc_ns(cx).content().limits.sem()[2];
    ensure!(
        nsops as u32 as i64 <= i64::from(most) && nsops <= u32::MAX as usize,
        E2BIG,
        "semop: more operations than SEMOPM"
    );
    ensure!(nsops >= 1, EINVAL, "semop: no operation");
    Ok(())
}

fn operate(
    cx: &Cx<'_>,
    id: i32,
    sops: UserInPtr<abi::SemBuf>,
    nsops: usize,
    deadline: Ktime,
) -> Result<usize> {
    check_count(cx, nsops)?;
    let mut operation = Operation {
        steps: SmallVec::new(),
        undo: 0,
    };
    let room = operation.steps.try_reserve(nsops);
    room.map_err(|_| err!(ENOMEM, "no memory for the operations"))?;
    for n in 0..nsops {
        let abi::SemBuf { num, op, flags } = sops.at(n).read(cx)?;
        operation.steps.push(SemOp {
            num,
            by: op,
            nowait: i32::from(flags) & IpcFlags::NOWAIT.bits() as i32 != 0,
            undo: flags & SEM_UNDO != 0,
        });
    }
    let ns = ipc_ns(cx);
    let array = ns.content().sem.find(id)?;
    let highest = operation.steps.iter().map(|step| step.num).max();
    ensure!(
        highest.is_some_and(|num| u32::from(num) < array.nsems()),
        EFBIG,
        "semop: the set has no such semaphore"
    );
    array.check(&ns, cx.task, operation.alters())?;
    if operation.steps.iter().any(|step| step.undo) {
        let list = cx.task.sem_undo();
        list.enter(&array)?;
        operation.undo = list.id();
    }
    let waiter = SemWaiter::new(cx.task.clone(), cx.task.group().tgid.clone(), &operation);
    if array.operate(cx.task, &waiter, operation)?.is_some() {
        return Ok(0);
    }
    let waited = wait_for(cx, Until::Monotonic(deadline), || waiter.result());
    let result = match waited {
        Ok(result) => result,
        Err(why) if array.cancel(&waiter) => match why {
            WaitError::Interrupted => bail!(EINTR, "semop: a signal came"),
            WaitError::TimedOut => bail!(EAGAIN, "semtimedop: the time is over"),
        },
        // It has ended meanwhile.
        Err(_) => waiter.result().unwrap_or(Ok(())),
    };
    result.map(|()| 0)
}

/// `semctl(2)`.
pub fn semctl(cx: &mut Cx<'_>, semid: i32, semnum: i32, cmd: i32, arg: u64) -> Result<usize> {
    ensure!(semid >= 0, EINVAL, "semctl: a negative id");
    let buf = UserAddr(arg);
    match cmd {
        IPC_INFO | SEM_INFO => info(cx, cmd, buf),
        IPC_STAT | SEM_STAT | SEM_STAT_ANY => stat(cx, semid, cmd, buf),
        GETALL => get_all(cx, semid, UserOutPtr::new(buf)),
        SETALL => set_all(cx, semid, UserInPtr::new(buf)),
        GETVAL | GETPID | GETNCNT | GETZCNT => get(cx, semid, semnum, cmd),
        SETVAL => set_value(cx, semid, semnum, arg as i32),
        IPC_SET => set(cx, semid, buf),
        IPC_RMID => {
            let ns = ipc_ns(cx);
            let array = ns.content().sem.find(semid)?;
            array.ipc_perm().check_owner(ns.user_ns(), &cx.task.cred())?;
            ns.content().remove_sem(&array)?;
            Ok(0)
        }
        _ => bail!(EINVAL, "semctl: no such command"),
    }
}

fn info(cx: &Cx<'_>, cmd: i32, buf: UserAddr) -> Result<usize> {
    let ns = ipc_ns(cx);
    let content = ns.content();
    let [msl, mns, opm, mni] = content.limits.sem();
    let (used, semaphores, highest) = content.sem.usage();
    let (semusz, semaem) = if cmd == SEM_INFO {
        (used as i32, semaphores as i32)
    } else {
        (20, SEMVMX)
    };
    let info = abi::SemInfo {
        // Limits that Linux has only on paper.
        semmap: 1_024_000_000,
        semmnu: 1_024_000_000,
        semume: 500,
        semmni: mni,
        semmns: mns,
        semmsl: msl,
        semopm: opm,
        semusz,
        semvmx: SEMVMX,
        semaem,
    };
    UserPtr::new(buf).write(cx, &info)?;
    Ok(highest as usize)
}

fn stat(cx: &Cx<'_>, id: i32, cmd: i32, buf: UserAddr) -> Result<usize> {
    let ns = ipc_ns(cx);
    let array = if cmd == IPC_STAT {
        ns.content().sem.find(id)?
    } else {
        ns.content().sem.at(id)?
    };
    if cmd != SEM_STAT_ANY {
        array.check(&ns, cx.task, false)?;
    }
    let perm = array.ipc_perm();
    let ds = abi::SemIdDs {
        perm: perm_to_user(cx, &perm),
        otime: load(&array.otime),
        ctime: load(&array.ctime),
        nsems: array.nsems().into(),
        ..abi::SemIdDs::default()
    };
    drop(array.lock()?);
    UserPtr::new(buf).write(cx, &ds)?;
    Ok(if cmd == IPC_STAT { 0 } else { perm.id as usize })
}

/// The set with this id, if the caller may read or (`write`) alter it.
fn allowed(cx: &Cx<'_>, id: i32, write: bool) -> Result<Arc<SemArray>> {
    let ns = ipc_ns(cx);
    let array = ns.content().sem.find(id)?;
    array.check(&ns, cx.task, write)?;
    Ok(array)
}

fn get_all(cx: &Cx<'_>, id: i32, out: UserOutPtr<u16>) -> Result<usize> {
    let array = allowed(cx, id, false)?;
    let count = array.nsems() as usize;
    let mut values: Vec<u16> = Vec::new();
    let room = values.try_reserve_exact(count);
    room.map_err(|_| err!(ENOMEM, "no memory for the values"))?;
    {
        let set = array.lock()?;
        values.extend((0..count).map(|num| set.value(num) as u16));
    }
    out.write_slice(cx, &values)?;
    Ok(0)
}

fn set_all(cx: &Cx<'_>, id: i32, from: UserInPtr<u16>) -> Result<usize> {
    let array = allowed(cx, id, true)?;
    let values = from.read_vec(cx, array.nsems() as usize)?;
    ensure!(
        values.iter().all(|&value| i32::from(value) <= SEMVMX),
        ERANGE,
        "SETALL: a value above SEMVMX"
    );
    array.set_all(&values, &cx.task.group().tgid, seconds(cx.kernel))?;
    Ok(0)
}

fn get(cx: &Cx<'_>, id: i32, num: i32, cmd: i32) -> Result<usize> {
    let array = allowed(cx, id, false)?;
    let num = array.number(num)?;
    let set = array.lock()?;
    Ok(match cmd {
        GETVAL => set.value(num) as usize,
        GETPID => {
            let last = set.last(num).cloned();
            drop(set);
            pid_to_user(cx, last.as_ref()) as usize
        }
        GETNCNT => set.waiting_for_more(num),
        _ => set.waiting_for_zero(num),
    })
}

fn set_value(cx: &Cx<'_>, id: i32, num: i32, value: i32) -> Result<usize> {
    ensure!(
        (0..=SEMVMX).contains(&value),
        ERANGE,
        "SETVAL: below 0 or above SEMVMX"
    );
    let ns = ipc_ns(cx);
    let array = ns.content().sem.find(id)?;
    let num = array.number(num)?;
    array.check(&ns, cx.task, true)?;
    array.set_value(num, value, &cx.task.group().tgid, seconds(cx.kernel))?;
    Ok(0)
}

fn set(cx: &Cx<'_>, id: i32, buf: UserAddr) -> Result<usize> {
    let new: abi::SemIdDs = UserPtr::new(buf).read(cx)?;
    let ns = ipc_ns(cx);
    let array = ns.content().sem.find(id)?;
    array.ipc_perm().check_owner(ns.user_ns(), &cx.task.cred())?;
    update_perm(cx, array.perm(), &new.perm)?;
    array.changed(seconds(cx.kernel));
    Ok(0)
}
