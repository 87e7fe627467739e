//! Messages on their way in and out.

use alloc::sync::Arc;
use alloc::vec::Vec;

use smallvec::SmallVec;

use crate::fs::OpenFile;
use crate::fs::io::{IoDst, IoSrc};
use crate::ids::{Kgid, Kuid};
use crate::task::pid::Pid;

bitflags::bitflags! {
    /// Flags of `send(2)` and `recv(2)`, and of what was received.
    #[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
    #[allow(missing_docs)]
    pub struct MsgFlags: u32 {
        const OOB = 0x1;
        const PEEK = 0x2;
        const DONTROUTE = 0x4;
        const CTRUNC = 0x8;
        const TRUNC = 0x20;
        const DONTWAIT = 0x40;
        const EOR = 0x80;
        const WAITALL = 0x100;
        const CONFIRM = 0x800;
        const ERRQUEUE = 0x2000;
        const NOSIGNAL = 0x4000;
        const MORE = 0x8000;
        const WAITFORONE = 0x10000;
        const CMSG_CLOEXEC = 0x4000_0000;
        const CMSG_COMPAT = 0x8000_0000;
        const _ = !0;
    }
}

/// An address as user space writes it: `struct sockaddr` with its family.
pub type SockAddr = SmallVec<[u8; 32]>;

/// Who sent a message, as kernel objects (`SCM_CREDENTIALS`).
#[derive(Clone)]
#[allow(missing_docs)]
pub struct ScmCreds {
    pub pid: Option<Arc<Pid>>,
    pub uid: Kuid,
    pub gid: Kgid,
}

impl PartialEq for ScmCreds {
    fn eq(&self, other: &ScmCreds) -> bool {
        let same_pid = match (&self.pid, &other.pid) {
            (Some(a), Some(b)) => Arc::ptr_eq(a, b),
            (None, None) => true,
            _ => false,
        };
        same_pid && self.uid == other.uid && self.gid == other.gid
    }
}

/// Ancillary data that the protocol of a socket understands: level, type, content.
pub type ControlMessage = (i32, i32, Vec<u8>);

/// A message to send.
pub struct SendMsg<'a> {
    /// The bytes.
    pub data: &'a mut dyn IoSrc,
    /// Where to, if given.
    pub addr: Option<&'a [u8]>,
    /// Files to pass (`SCM_RIGHTS`); taken by a send that succeeds.
    pub rights: Vec<Arc<OpenFile>>,
    /// Credentials that the sender claims, checked (`SCM_CREDENTIALS`).
    pub creds: Option<ScmCreds>,
    /// Other ancillary data.
    pub control: &'a [ControlMessage],
    /// `MSG_*`.
    pub flags: MsgFlags,
}

impl<'a> SendMsg<'a> {
    /// Just bytes.
    pub fn new(data: &'a mut dyn IoSrc, flags: MsgFlags) -> SendMsg<'a> {
        SendMsg {
            data,
            addr: None,
            rights: Vec::new(),
            creds: None,
            control: &[],
            flags,
        }
    }
}

/// A message to receive.
pub struct RecvMsg<'a> {
    /// Where the bytes go.
    pub data: &'a mut dyn IoDst,
    /// `MSG_*`.
    pub flags: MsgFlags,
    /// Whether files that come along can be taken; otherwise they are dropped.
    pub want_rights: bool,
    /// Who sent it, where that is told.
    pub addr: Option<SockAddr>,
    /// Files that came along.
    pub rights: Vec<Arc<OpenFile>>,
    /// Credentials of the sender, for sockets with `SO_PASSCRED`.
    pub creds: Option<ScmCreds>,
    /// Other ancillary data.
    pub control: Vec<ControlMessage>,
    /// `MSG_TRUNC`, `MSG_CTRUNC`, `MSG_EOR` …
    pub out_flags: MsgFlags,
    /// Bytes that the same call has got already (`MSG_WAITALL`).
    pub got: usize,
    /// The call gets no more, though it waits for all.
    pub ends: bool,
}

impl<'a> RecvMsg<'a> {
    /// Just bytes.
    pub fn new(data: &'a mut dyn IoDst, flags: MsgFlags) -> RecvMsg<'a> {
        RecvMsg {
            data,
            flags,
            want_rights: false,
            addr: None,
            rights: Vec::new(),
            creds: None,
            control: Vec::new(),
            out_flags: MsgFlags::empty(),
            got: 0,
            ends: false,
        }
    }
}
