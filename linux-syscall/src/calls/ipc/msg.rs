//! System calls: message queues (`msgget(2)`, `msgop(2)`, `msgctl(2)`).

use alloc::sync::Arc;

use linux_object::cred::Capability;
use linux_object::error::{Errno, Result};
use linux_object::ids::UserAddr;
use linux_object::ipc::ids::IpcObject;
use linux_object::ipc::msg::{Attempt, Event, Message, MsgQueue, MsgWaiter, Receive, Want};
use linux_object::ipc::perm::IpcFlags;
use linux_object::time::Ktime;
use linux_object::{bail, ensure};

use super::{
    IPC_INFO, IPC_RMID, IPC_SET, IPC_STAT, interrupted, ipc_ns, load, perm_to_user, pid_to_user, update_perm,
};
use crate::abi;
use crate::clock::{Until, wait_for};
use crate::context::Cx;
use crate::user_ptr::{UserInPtr, UserOutPtr, UserPtr};

const MSG_STAT: i32 = 11;
const MSG_INFO: i32 = 12;
const MSG_STAT_ANY: i32 = 13;

const MSG_NOERROR: u32 = 0o10000;
const MSG_EXCEPT: u32 = 0o20000;
const MSG_COPY: u32 = 0o40000;

/// Where the text begins in a `struct msgbuf`.
const TEXT: u64 = 8;

/// `msgget(2)`.
pub fn msgget(cx: &mut Cx<'_>, key: i32, msgflg: u32) -> Result<usize> {
    let ns = ipc_ns(cx);
    let id = ns.content().msgget(&ns, cx.task, key, msgflg)?;
    Ok(id as usize)
}

fn waits(flags: u32) -> bool {
    flags & IpcFlags::NOWAIT.bits() == 0
}

fn waiter(cx: &Cx<'_>) -> Arc<MsgWaiter> {
    MsgWaiter::new(cx.task.clone(), cx.task.group().tgid.clone())
}

/// Sleeps until something has happened to the waiter; `None` if a signal came first.
fn wait(cx: &Cx<'_>, queue: &MsgQueue, waiter: &Arc<MsgWaiter>) -> Option<Event> {
    match wait_for(cx, Until::Monotonic(Ktime::MAX), || waiter.take()) {
        Ok(event) => Some(event),
        Err(_) if queue.cancel(waiter) => None,
        Err(_) => waiter.take(),
    }
}

/// `msgsnd(2)`.
pub fn msgsnd(cx: &mut Cx<'_>, msqid: i32, msgp: UserAddr, msgsz: usize, msgflg: u32) -> Result<usize> {
    let kind = UserInPtr::<i64>::new(msgp).read(cx)?;
    let ns = ipc_ns(cx);
    let most = ns.content().limits.msgmax.get_u64();
    ensure!(
        msgsz as u64 <= most && msqid >= 0,
        EINVAL,
        "msgsnd: longer than MSGMAX, or a negative id"
    );
    ensure!(kind >= 1, EINVAL, "msgsnd: types are above 0");
    let text = UserInPtr::<u8>::new(msgp.offset(TEXT)).read_bytes(cx, msgsz)?;
    let message = Message::new(&cx.kernel.memory, kind, text)?;
    let queue = ns.content().msg.find(msqid)?;
    if !waits(msgflg) {
        queue.send(&ns, cx.task, &message, None)?;
        return Ok(0);
    }
    let waiter = waiter(cx);
    match queue.send(&ns, cx.task, &message, Some(&waiter))? {
        Attempt::Done(()) => Ok(0),
        Attempt::Waits => match wait(cx, &queue, &waiter) {
            Some(Event::Failed(error)) => Err(error),
            Some(_) => Ok(0),
            None => Err(interrupted()),
        },
    }
}

/// `msgrcv(2)`.
pub fn msgrcv(
    cx: &mut Cx<'_>,
    msqid: i32,
    msgp: UserAddr,
    msgsz: usize,
    msgtyp: i64,
    msgflg: u32,
) -> Result<usize> {
    ensure!(
        msqid >= 0 && msgsz as i64 >= 0,
        EINVAL,
        "msgrcv: a negative id or size"
    );
    let ns = ipc_ns(cx);
    let no_error = msgflg & MSG_NOERROR != 0;
    let max = if no_error { usize::MAX } else { msgsz };
    if msgflg & MSG_COPY != 0 {
        ensure!(
            msgflg & MSG_EXCEPT == 0 && !waits(msgflg),
            EINVAL,
            "MSG_COPY: without IPC_NOWAIT, or with MSG_EXCEPT"
        );
        let room = msgsz.min(ns.content().limits.msgmax.get_u64() as usize);
        let queue = ns.content().msg.find(msqid)?;
        let message = queue.peek(&ns, cx.task, msgtyp, max)?;
        // Copies are not cut.
        ensure!(
            message.text.len() <= room,
            EINVAL,
            "MSG_COPY: the message is longer"
        );
        return store(cx, msgp, msgsz, &message);
    }
    let receive = Receive {
        want: Want::new(msgtyp, msgflg & MSG_EXCEPT != 0),
        max,
    };
    let queue = ns.content().msg.find(msqid)?;
    loop {
        let waiter = waits(msgflg).then(|| waiter(cx));
        let attempt = queue.receive(&ns, cx.task, receive, waiter.as_ref())?;
        let message = match (attempt, waiter) {
            (Attempt::Done(message), _) => message,
            (Attempt::Waits, Some(waiter)) => match wait(cx, &queue, &waiter) {
                Some(Event::Received(message)) => message,
                // The permissions have changed.
                Some(Event::Failed(error)) if error.errno() == Errno::EAGAIN => continue,
                Some(Event::Failed(error)) => return Err(error),
                Some(Event::Sent) | None => return Err(interrupted()),
            },
            (Attempt::Waits, None) => bail!(ENOMSG),
        };
        return store(cx, msgp, msgsz, &message);
    }
}

fn store(cx: &Cx<'_>, msgp: UserAddr, msgsz: usize, message: &Message) -> Result<usize> {
    UserOutPtr::<i64>::new(msgp).write(cx, &message.kind)?;
    let len = message.text.len().min(msgsz);
    UserOutPtr::<u8>::new(msgp.offset(TEXT)).write_slice(cx, &message.text[..len])?;
    Ok(len)
}

/// `msgctl(2)`.
pub fn msgctl(cx: &mut Cx<'_>, msqid: i32, cmd: i32, buf: UserAddr) -> Result<usize> {
    ensure!(msqid >= 0 && cmd >= 0, EINVAL, "msgctl: a negative id or command");
    match cmd {
        IPC_INFO | MSG_INFO => info(cx, cmd, buf),
        IPC_STAT | MSG_STAT | MSG_STAT_ANY => stat(cx, msqid, cmd, buf),
        IPC_SET => set(cx, msqid, buf),
        IPC_RMID => {
            let ns = ipc_ns(cx);
            let queue = ns.content().msg.find(msqid)?;
            queue.ipc_perm().check_owner(ns.user_ns(), &cx.task.cred())?;
            ns.content().remove_msg(&queue)?;
            Ok(0)
        }
        _ => bail!(EINVAL, "msgctl: no such command"),
    }
}

fn info(cx: &Cx<'_>, cmd: i32, buf: UserAddr) -> Result<usize> {
    let ns = ipc_ns(cx);
    let content = ns.content();
    let (used, _, highest) = content.msg.usage();
    let (msgpool, msgmap, msgtql) = if cmd == MSG_INFO {
        let totals = &content.msg_totals;
        (
            used as i32,
            load(&totals.messages) as i32,
            load(&totals.bytes) as i32,
        )
    } else {
        // Limits that Linux has only on paper.
        (512_000, 16384, 16384)
    };
    let info = abi::MsgInfo {
        msgpool,
        msgmap,
        msgmax: content.limits.msgmax.get() as i32,
        msgmnb: content.limits.msgmnb.get() as i32,
        msgmni: content.limits.msgmni.get() as i32,
        msgssz: 16,
        msgtql,
        msgseg: 0xffff,
        pad0: 0,
    };
    UserPtr::new(buf).write(cx, &info)?;
    Ok(highest as usize)
}

fn stat(cx: &Cx<'_>, id: i32, cmd: i32, buf: UserAddr) -> Result<usize> {
    let ns = ipc_ns(cx);
    let queue = if cmd == IPC_STAT {
        ns.content().msg.find(id)?
    } else {
        ns.content().msg.at(id)?
    };
    if cmd != MSG_STAT_ANY {
        queue.check(&ns, cx.task, false)?;
    }
    let perm = queue.ipc_perm();
    let stat = queue.stat()?;
    let ds = abi::MsqIdDs {
        perm: perm_to_user(cx, &perm),
        stime: stat.stime,
        rtime: stat.rtime,
        ctime: stat.ctime,
        cbytes: stat.bytes,
        qnum: stat.messages,
        qbytes: stat.max_bytes,
        lspid: pid_to_user(cx, stat.lspid.as_ref()),
        lrpid: pid_to_user(cx, stat.lrpid.as_ref()),
        ..abi::MsqIdDs::default()
    };
    UserPtr::new(buf).write(cx, &ds)?;
    Ok(if cmd == IPC_STAT { 0 } else { perm.id as usize })
}

fn set(cx: &Cx<'_>, id: i32, buf: UserAddr) -> Result<usize> {
    let new: abi::MsqIdDs = UserPtr::new(buf).read(cx)?;
    let ns = ipc_ns(cx);
    let queue = ns.content().msg.find(id)?;
    queue.ipc_perm().check_owner(ns.user_ns(), &cx.task.cred())?;
    ensure!(
        new.qbytes <= ns.content().limits.msgmnb.get_u64()
            || cx.task.cred().capable(Capability::SYS_RESOURCE),
        EPERM,
        "IPC_SET: more than MSGMNB, and no CAP_SYS_RESOURCE"
    );
    update_perm(cx, queue.perm(), &new.perm)?;
    queue.set_max_bytes(cx.task, new.qbytes)?;
    Ok(0)
}
