//! A socket as an open file.

use alloc::string::String;
use alloc::sync::Arc;
use core::any::Any;
use core::time::Duration;

use super::{MsgFlags, RecvMsg, SendMsg, Socket};
use crate::bail;
use crate::error::{Errno, Result};
use crate::fs::io::{IoDst, IoSrc};
use crate::fs::{FileOps, OpenFile, PollEvents};
use crate::ids::{Kuid, UserAddr};
use crate::sync::WaitQueue;
use crate::task::Task;
use crate::time::Ktime;

/// The behaviour of a socket's open file.
pub struct SocketFile {
    socket: Arc<dyn Socket>,
}

impl SocketFile {
    /// The file of this socket; when it goes, the socket is released.
    pub fn new(socket: Arc<dyn Socket>) -> Arc<SocketFile> {
        Arc::new(SocketFile { socket })
    }
    /// The socket.
    pub fn socket(&self) -> &Arc<dyn Socket> {
        &self.socket
    }
}

/// The socket behind an open file; `ENOTSOCK` if it is none.
pub fn socket_of(file: &OpenFile) -> Result<&Arc<dyn Socket>> {
    let ops = file.ops.as_deref();
    match ops.and_then(|ops| ops.as_any().downcast_ref::<SocketFile>()) {
        Some(file) => Ok(&file.socket),
        None => bail!(ENOTSOCK, "the descriptor is not a socket"),
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        self.socket.release();
        self.socket.base().set_inode(0, Kuid::ROOT);
    }
}

impl FileOps for SocketFile {
    fn read(&self, _: &OpenFile, task: &Arc<Task>, _: &mut u64, to: &mut dyn IoDst) -> Result<usize> {
        if to.remaining() == 0 {
            return Ok(0);
        }
        self.socket.recv(task, &mut RecvMsg::new(to, MsgFlags::empty()))
    }
    fn write(&self, _: &OpenFile, task: &Arc<Task>, _: &mut u64, from: &mut dyn IoSrc) -> Result<usize> {
        let done = self.socket.send(task, &mut SendMsg::new(from, MsgFlags::empty()));
        if matches!(&done, Err(error) if error.errno() == Errno::EPIPE) && self.socket.base().sends_sigpipe()
        {
            crate::fs::send_sigpipe(task);
        }
        done
    }
    fn poll(&self, _: &OpenFile, _: &Arc<Task>) -> PollEvents {
        self.socket.poll()
    }
    fn wait_queue(&self) -> Option<&WaitQueue> {
        Some(self.socket.wait_queue())
    }
    fn io_deadline(&self, _: &OpenFile, write: bool, since: Ktime) -> Ktime {
        match self.socket.base().timeout(write) {
            0 => Ktime::MAX,
            nanos => since + Duration::from_nanos(nanos),
        }
    }
    fn ioctl(&self, _: &OpenFile, task: &Arc<Task>, cmd: u32, arg: UserAddr) -> Result<usize> {
        let is_unix = self.socket.family() == super::af::UNIX;
        if cmd >> 8 == 0x89 && is_unix && cmd != super::unix::SIOCATMARK {
            // Any socket will do to ask for devices.
            let net_ns = task.nsproxy().net_ns.clone();
            return super::inet::ifreq::ioctl(task, &net_ns, cmd, arg);
        }
        self.socket.ioctl(task, cmd, arg)
    }
    fn fdinfo(&self, _: &OpenFile, _: &Arc<Task>, _: &mut String) {}
    fn as_any(&self) -> &dyn Any {
        self
    }
}
