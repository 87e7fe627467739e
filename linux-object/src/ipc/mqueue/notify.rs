//! Telling a process that a message has arrived (`mq_notify(2)`).

use alloc::sync::Arc;
use core::sync::atomic::Ordering;

use crate::net::Socket;
use crate::task::pid::Pid;
use crate::task::signal::send_to_group;
use crate::task::{SigInfo, SigInfoFields, Signal, Task, si_code};

/// Bytes of the message that `SIGEV_THREAD` sends.
pub const COOKIE_LEN: usize = 32;
const NOTIFY_WOKENUP: u8 = 1;
const NOTIFY_REMOVED: u8 = 2;

/// How to tell.
pub enum How {
    /// Not at all (`SIGEV_NONE`).
    None,
    /// By a signal with a value; no signal if it is `None` (`SIGEV_SIGNAL`).
    Signal(Option<Signal>, u64),
    /// By a message to a netlink socket, where the C library's thread reads it (`SIGEV_THREAD`).
    Thread(Arc<dyn Socket>, [u8; COOKIE_LEN]),
}

/// Who is to be told.
pub struct Notification {
    /// The process.
    pub owner: Arc<Pid>,
    /// How.
    pub how: How,
    /// It must not have become another program since.
    exec_id: u32,
}

impl Notification {
    /// Of the calling process.
    pub fn new(task: &Task, how: How) -> Notification {
        Notification {
            owner: task.group().tgid.clone(),
            how,
            exec_id: task.group().exec_id.load(Ordering::Relaxed),
        }
    }

    /// `sigev_notify` and `sigev_signo`, as the queue's file shows them.
    pub fn shown(&self) -> (i32, u8) {
        match &self.how {
            How::None => (1, 0),
            How::Signal(signal, _) => (0, signal.map_or(0, Signal::nr)),
            How::Thread(..) => (2, 0),
        }
    }

    /// A message of `sender` has arrived. No lock is held.
    pub fn fire(self, sender: &Task) {
        match self.how {
            How::None | How::Signal(None, _) => {}
            How::Signal(Some(signal), value) => {
                let info = SigInfo {
                    signal,
                    errno: 0,
                    code: si_code::SI_MESGQ,
                    fields: SigInfoFields::Sender {
                        pid: Some(sender.group().tgid.clone()),
                        uid: sender.cred().uid,
                        value,
                    },
                };
                if let Some(group) = self.owner.group()
                    && group.exec_id.load(Ordering::Relaxed) == self.exec_id
                {
                    let _ = send_to_group(&group, info);
                }
            }
            How::Thread(socket, cookie) => deliver(&*socket, cookie, NOTIFY_WOKENUP),
        }
    }

    /// It was taken back. No lock is held.
    pub fn remove(self) {
        if let How::Thread(socket, cookie) = self.how {
            deliver(&*socket, cookie, NOTIFY_REMOVED);
        }
    }
}

fn deliver(socket: &dyn Socket, mut cookie: [u8; COOKIE_LEN], why: u8) {
    cookie[COOKIE_LEN - 1] = why;
    socket.deliver(&cookie);
}
