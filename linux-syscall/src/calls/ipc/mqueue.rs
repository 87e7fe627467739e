//! System calls: POSIX message queues (`mq_open(2)` and its relatives).

use alloc::sync::Arc;

use linux_object::error::Result;
use linux_object::fs::{OpenFile, OpenFlags};
use linux_object::ids::{Fd, UserAddr};
use linux_object::ipc::mqueue::{
    self, Attempt, COOKIE_LEN, How, MQ_PRIO_MAX, MqFile, MqSize, Mqueue, Notification,
};
use linux_object::ipc::msg::{Event, Message, MsgWaiter};
use linux_object::net::socket_of;
use linux_object::task::Signal;
use linux_object::time::Ktime;
use linux_object::{bail, ensure};

use crate::abi;
use crate::arg::OpenArg;
use crate::calls::fd::nofile;
use crate::clock::{Until, wait_for};
use crate::context::Cx;
use crate::user_ptr::{UserCStr, UserInPtr, UserOutPtr};
use crate::wait_until::WaitError;

const AF_NETLINK: u16 = 16;
const SIGEV_SIGNAL: i32 = 0;
const SIGEV_NONE: i32 = 1;
const SIGEV_THREAD: i32 = 2;

/// `mq_open(2)`.
pub fn mq_open(
    cx: &mut Cx<'_>,
    name: UserCStr,
    oflag: OpenArg,
    mode: u32,
    attr: UserInPtr<abi::MqAttr>,
) -> Result<usize> {
    let size = attr.read_opt(cx)?.map(|attr| MqSize {
        max_messages: attr.maxmsg,
        message_size: attr.msgsize,
    });
    let name = name.read_path(cx)?;
    ensure!(!name.is_empty(), ENOENT, "mq_open: no name");
    let files = cx.task.files();
    let slot = files.reserve(true, 0, nofile(cx))?;
    let mode = mode & !cx.task.fs().umask();
    let file = mqueue::mq_open(cx.task, &name, oflag.flags(), mode, size)?;
    Ok(slot.install(file).0 as usize)
}

/// `mq_unlink(2)`.
pub fn mq_unlink(cx: &mut Cx<'_>, name: UserCStr) -> Result<usize> {
    let name = name.read_path(cx)?;
    ensure!(!name.is_empty(), ENOENT, "mq_unlink: no name");
    mqueue::mq_unlink(cx.task, &name)?;
    Ok(0)
}

/// The open file of a queue, and the queue; `EBADF`.
fn opened(cx: &Cx<'_>, mqdes: Fd) -> Result<(Arc<OpenFile>, Arc<Mqueue>)> {
    let file = cx.task.files().get_rw(mqdes)?;
    match file.ops_as::<MqFile>().map(|ops| ops.queue().clone()) {
        Some(queue) => Ok((file, queue)),
        None => bail!(EBADF, "the descriptor is no message queue"),
    }
}

fn read_timeout(cx: &Cx<'_>, timeout: UserInPtr<abi::Timespec>) -> Result<Until> {
    Ok(match timeout.read_opt(cx)? {
        Some(at) => Until::Realtime(at.nanos()?),
        None => Until::Monotonic(Ktime::MAX),
    })
}

fn waiter(cx: &Cx<'_>, file: &OpenFile) -> Option<Arc<MsgWaiter>> {
    let waits = !file.nonblocking();
    waits.then(|| MsgWaiter::new(cx.task.clone(), cx.task.group().tgid.clone()))
}

/// Sleeps until something has happened to the waiter.
fn wait(cx: &Cx<'_>, queue: &Mqueue, waiter: &Arc<MsgWaiter>, until: Until) -> Result<Event> {
    let why = match wait_for(cx, until, || waiter.take()) {
        Ok(event) => return Ok(event),
        Err(why) => why,
    };
    if !queue.cancel(waiter)
        && let Some(event) = waiter.take()
    {
        return Ok(event);
    }
    match why {
        WaitError::Interrupted => bail!(ERESTARTSYS),
        WaitError::TimedOut => bail!(ETIMEDOUT, "the time is over"),
    }
}

/// `mq_timedsend(2)`.
pub fn mq_timedsend(
    cx: &mut Cx<'_>,
    mqdes: Fd,
    msg_ptr: UserInPtr<u8>,
    msg_len: usize,
    msg_prio: u32,
    abs_timeout: UserInPtr<abi::Timespec>,
) -> Result<usize> {
    let until = read_timeout(cx, abs_timeout)?;
    ensure!(
        msg_prio < MQ_PRIO_MAX,
        EINVAL,
        "mq_send: priorities are below 32768"
    );
    let (file, queue) = opened(cx, mqdes)?;
    ensure!(
        file.flags().writable(),
        EBADF,
        "mq_send: the queue is not open for writing"
    );
    ensure!(
        msg_len as u64 <= queue.size.message_size as u64,
        EMSGSIZE,
        "mq_send: longer than mq_msgsize"
    );
    let text = msg_ptr.read_bytes(cx, msg_len)?;
    let message = Message::new(&cx.kernel.memory, msg_prio.into(), text)?;
    let waiter = waiter(cx, &file);
    match (queue.send(cx.task, &message, waiter.as_ref())?, waiter) {
        (Attempt::Waits, Some(waiter)) => match wait(cx, &queue, &waiter, until)? {
            Event::Failed(error) => Err(error),
            _ => Ok(0),
        },
        _ => Ok(0),
    }
}

/// `mq_timedreceive(2)`.
pub fn mq_timedreceive(
    cx: &mut Cx<'_>,
    mqdes: Fd,
    msg_ptr: UserOutPtr<u8>,
    msg_len: usize,
    msg_prio: UserOutPtr<u32>,
    abs_timeout: UserInPtr<abi::Timespec>,
) -> Result<usize> {
    let until = read_timeout(cx, abs_timeout)?;
    let (file, queue) = opened(cx, mqdes)?;
    ensure!(
        file.flags().readable(),
        EBADF,
        "mq_receive: the queue is not open for reading"
    );
    ensure!(
        msg_len as u64 >= queue.size.message_size as u64,
        EMSGSIZE,
        "mq_receive: less room than mq_msgsize"
    );
    let waiter = waiter(cx, &file);
    let message = match (queue.receive(cx.task, waiter.as_ref())?, waiter) {
        (Attempt::Done(message), _) => message,
        (Attempt::Waits, Some(waiter)) => match wait(cx, &queue, &waiter, until)? {
            Event::Received(message) => message,
            Event::Failed(error) => return Err(error),
            Event::Sent => bail!(EAGAIN),
        },
        (Attempt::Waits, None) => bail!(EAGAIN),
    };
    msg_prio.write_opt(cx, &(message.kind as u32))?;
    msg_ptr.write_slice(cx, &message.text)?;
    Ok(message.text.len())
}

/// `mq_notify(2)`.
pub fn mq_notify(cx: &mut Cx<'_>, mqdes: Fd, sevp: UserInPtr<abi::SigEvent>) -> Result<usize> {
    let Some(event) = sevp.read_opt(cx)? else {
        let (_, queue) = opened(cx, mqdes)?;
        queue.remove_notification(&cx.task.group().tgid);
        return Ok(0);
    };
    let how = match event.notify {
        SIGEV_NONE => How::None,
        SIGEV_SIGNAL => {
            ensure!(
                (0..=i32::from(Signal::MAX)).contains(&event.signo),
                EINVAL,
                "mq_notify: no such signal"
            );
            How::Signal(Signal::new(event.signo as u32), event.value)
        }
        SIGEV_THREAD => {
            let mut cookie = [0; COOKIE_LEN];
            cx.hal().copy_from_user(&mut cookie, UserAddr(event.value))?;
            let file = cx.task.files().get_rw(Fd(event.signo))?;
            let socket = socket_of(&file)?.clone();
            ensure!(
                socket.family() == AF_NETLINK,
                EINVAL,
                "mq_notify: not a netlink socket"
            );
            How::Thread(socket, cookie)
        }
        _ => bail!(EINVAL, "mq_notify: no such way to notify"),
    };
    let (_, queue) = opened(cx, mqdes)?;
    queue.set_notification(Notification::new(cx.task, how))?;
    Ok(0)
}

/// `mq_getsetattr(2)`.
pub fn mq_getsetattr(
    cx: &mut Cx<'_>,
    mqdes: Fd,
    newattr: UserInPtr<abi::MqAttr>,
    oldattr: UserOutPtr<abi::MqAttr>,
) -> Result<usize> {
    let nonblock = OpenFlags::NONBLOCK;
    let new = newattr.read_opt(cx)?;
    ensure!(
        new.is_none_or(|new| new.flags & !i64::from(nonblock.bits()) == 0),
        EINVAL,
        "mq_setattr: only O_NONBLOCK can be set"
    );
    let (file, queue) = opened(cx, mqdes)?;
    let old = abi::MqAttr {
        flags: (file.flags() & nonblock).bits().into(),
        maxmsg: queue.size.max_messages,
        msgsize: queue.size.message_size,
        curmsgs: queue.messages() as i64,
        ..abi::MqAttr::default()
    };
    if let Some(new) = new {
        file.set_flags(nonblock, OpenFlags::from_bits_retain(new.flags as u32));
    }
    oldattr.write_opt(cx, &old)?;
    Ok(0)
}
