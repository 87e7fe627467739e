//! The options of `SOL_SOCKET` (`socket(7)`).

use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, AtomicI32, AtomicU32, AtomicU64, Ordering};

use super::filter::Filter;
use super::{Socket, SocketType};
use crate::cred::Capability;
use crate::error::{Errno, Result};
use crate::fs::{OpenFile, fasync};
use crate::ids::Kuid;
use crate::net::stack::NetCore;
use crate::sync::{SpinLock, class};
use crate::task::Task;
use crate::{bail, ensure};

/// Option numbers.
#[allow(missing_docs)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(i32)]
pub enum SockOption {
    Debug = 1,
    ReuseAddr = 2,
    Type = 3,
    Error = 4,
    DontRoute = 5,
    Broadcast = 6,
    SndBuf = 7,
    RcvBuf = 8,
    KeepAlive = 9,
    OobInline = 10,
    NoCheck = 11,
    Priority = 12,
    Linger = 13,
    ReusePort = 15,
    PassCred = 16,
    PeerCred = 17,
    RcvLowat = 18,
    SndLowat = 19,
    RcvTimeoOld = 20,
    SndTimeoOld = 21,
    AcceptConn = 30,
    SndBufForce = 32,
    RcvBufForce = 33,
    Protocol = 38,
    Domain = 39,
    Cookie = 57,
    AttachFilter = 26,
    DetachFilter = 27,
    LockFilter = 44,
    PeerGroups = 59,
    RcvTimeoNew = 66,
    SndTimeoNew = 67,
    NetnsCookie = 71,
}

impl SockOption {
    fn from_number(nr: i32) -> Option<SockOption> {
        use SockOption::*;
        [
            Debug,
            ReuseAddr,
            Type,
            Error,
            DontRoute,
            Broadcast,
            SndBuf,
            RcvBuf,
            KeepAlive,
            OobInline,
            NoCheck,
            Priority,
            Linger,
            ReusePort,
            PassCred,
            PeerCred,
            RcvLowat,
            SndLowat,
            RcvTimeoOld,
            SndTimeoOld,
            AcceptConn,
            SndBufForce,
            RcvBufForce,
            Protocol,
            Domain,
            Cookie,
            AttachFilter,
            DetachFilter,
            LockFilter,
            PeerGroups,
            RcvTimeoNew,
            SndTimeoNew,
            NetnsCookie,
        ]
        .into_iter()
        .find(|&option| option as i32 == nr)
    }
}

/// `SOL_SOCKET`.
pub const SOL_SOCKET: i32 = 1;
/// `SOCK_MIN_SNDBUF`.
pub(crate) const MIN_SNDBUF: u32 = 4608;
/// `SOCK_MIN_RCVBUF`.
pub(crate) const MIN_RCVBUF: u32 = 2304;

/// What every socket has.
pub struct SockBase {
    /// Its type.
    pub kind: SocketType,
    /// Its protocol.
    pub protocol: i32,
    sndbuf: AtomicU32,
    rcvbuf: AtomicU32,
    /// Nanoseconds, 0 is none.
    sndtimeo: AtomicU64,
    rcvtimeo: AtomicU64,
    /// The error that the next call reports.
    error: AtomicI32,
    passcred: AtomicBool,
    rcvlowat: AtomicI32,
    /// On and seconds.
    linger: AtomicU64,
    priority: AtomicU32,
    /// Options that are on or off, bit n for option n.
    bools: AtomicU32,
    /// The number of its inode, 0 while it has no file, and whose that is.
    ino: AtomicU64,
    owner: AtomicU32,
    /// Its open file: whose owner is sent SIGURG.
    file: SpinLock<Weak<OpenFile>, class::Leaf>,
    /// What it lets in, and whether there is such a program.
    pub(super) filter: SpinLock<Filter, class::Leaf>,
    filtered: AtomicBool,
    /// Its number among all sockets.
    cookie: u64,
}

/// The next [`SockBase::cookie`].
static NEXT_COOKIE: AtomicU64 = AtomicU64::new(1);

impl SockBase {
    /// A socket's base with the defaults.
    pub fn new(kind: SocketType, protocol: i32, core: &NetCore) -> SockBase {
        SockBase {
            kind,
            protocol,
            sndbuf: AtomicU32::new(core.wmem_default.get() as u32),
            rcvbuf: AtomicU32::new(core.rmem_default.get() as u32),
            sndtimeo: AtomicU64::new(0),
            rcvtimeo: AtomicU64::new(0),
            error: AtomicI32::new(0),
            passcred: AtomicBool::new(false),
            rcvlowat: AtomicI32::new(1),
            linger: AtomicU64::new(0),
            priority: AtomicU32::new(0),
            bools: AtomicU32::new(0),
            ino: AtomicU64::new(0),
            owner: AtomicU32::new(0),
            file: SpinLock::default(),
            filter: SpinLock::new(Filter::default()),
            filtered: AtomicBool::new(false),
            cookie: NEXT_COOKIE.fetch_add(1, Ordering::Relaxed),
        }
    }
    /// The socket got a file with this inode, which is this user's; 0 when the file goes.
    pub fn set_inode(&self, ino: u64, owner: Kuid) {
        self.owner.store(owner.0, Ordering::Relaxed);
        self.ino.store(ino, Ordering::Relaxed);
    }
    /// The socket got this open file.
    pub fn set_file(&self, file: &Arc<OpenFile>) {
        *self.file.lock() = Arc::downgrade(file);
    }
    /// Its open file's owner gets SIGURG. No lock is held.
    pub(super) fn send_sigurg(&self) {
        let file = self.file.lock().upgrade();
        if let Some(file) = file {
            fasync::send_sigurg(&file);
        }
    }
    /// The number of its inode; 0 if it has none.
    pub fn ino(&self) -> u64 {
        self.ino.load(Ordering::Relaxed)
    }
    /// Whose its inode is; root's if it has none.
    pub fn owner(&self) -> Kuid {
        Kuid(self.owner.load(Ordering::Relaxed))
    }
    /// `SO_COOKIE`: a number that no other socket ever has.
    pub fn cookie(&self) -> u64 {
        self.cookie
    }
    /// `SO_SNDBUF`.
    pub fn sndbuf(&self) -> usize {
        self.sndbuf.load(Ordering::Relaxed) as usize
    }
    /// `SO_RCVBUF`.
    pub fn rcvbuf(&self) -> usize {
        self.rcvbuf.load(Ordering::Relaxed) as usize
    }
    /// `SO_SNDTIMEO` or `SO_RCVTIMEO` in nanoseconds; 0 is none.
    pub fn timeout(&self, write: bool) -> u64 {
        let timeo = if write { &self.sndtimeo } else { &self.rcvtimeo };
        timeo.load(Ordering::Relaxed)
    }
    /// `SO_PASSCRED`.
    pub fn passcred(&self) -> bool {
        self.passcred.load(Ordering::Relaxed)
    }
    /// Sets the error that the next call reports.
    pub fn set_error(&self, errno: Errno) {
        self.error.store(errno as i32, Ordering::SeqCst);
    }
    /// Whether an error waits to be reported.
    pub fn has_error(&self) -> bool {
        self.error.load(Ordering::SeqCst) != 0
    }
    /// Takes the error.
    pub fn take_error(&self) -> Result<()> {
        match self.error.swap(0, Ordering::SeqCst) {
            0 => Ok(()),
            number => Err(Errno::from_number(number).unwrap_or(Errno::EIO).into()),
        }
    }
    /// Whether a write to a closed stream raises SIGPIPE.
    pub fn sends_sigpipe(&self) -> bool {
        self.kind == SocketType::Stream
    }
    /// Whether an option that is on or off is on.
    pub fn is_set(&self, option: SockOption) -> bool {
        self.flag(option)
    }
    /// `SO_LINGER` in seconds, if it is on.
    pub fn linger(&self) -> Option<u32> {
        let both = self.linger.load(Ordering::Relaxed);
        (both >> 32 != 0).then_some(both as u32)
    }
    /// Takes over the options of the listening socket.
    pub fn inherit(&self, from: &SockBase) {
        let relaxed = Ordering::Relaxed;
        self.bools.store(from.bools.load(relaxed), relaxed);
        self.sndbuf.store(from.sndbuf.load(relaxed), relaxed);
        self.rcvbuf.store(from.rcvbuf.load(relaxed), relaxed);
        self.linger.store(from.linger.load(relaxed), relaxed);
        self.priority.store(from.priority.load(relaxed), relaxed);
        let filter = from.filter.lock().clone();
        *self.filter.lock() = filter;
        self.set_filtered(from.is_filtered());
    }
    pub(super) fn is_filtered(&self) -> bool {
        self.filtered.load(Ordering::Acquire)
    }
    pub(super) fn set_filtered(&self, on: bool) {
        self.filtered.store(on, Ordering::Release);
    }
    fn flag(&self, option: SockOption) -> bool {
        self.bools.load(Ordering::Relaxed) & 1 << option as u32 != 0
    }
    fn set_flag(&self, option: SockOption, on: bool) {
        let bit = 1 << option as u32;
        if on {
            self.bools.fetch_or(bit, Ordering::Relaxed);
        } else {
            self.bools.fetch_and(!bit, Ordering::Relaxed);
        }
    }
}

fn int(value: &[u8]) -> Result<i32> {
    match value.first_chunk() {
        Some(&bytes) => Ok(i32::from_ne_bytes(bytes)),
        None => bail!(EINVAL, "the option is an int"),
    }
}

/// A `struct timeval`.
fn timeval(value: &[u8]) -> Result<u64> {
    ensure!(value.len() >= 16, EINVAL, "the option is a struct timeval");
    let word = |at: usize| value[at..].first_chunk().map_or(0, |&b| i64::from_ne_bytes(b));
    let (sec, usec) = (word(0), word(8));
    ensure!(
        (0..1_000_000).contains(&usec),
        EDOM,
        "microseconds are below a million"
    );
    if sec < 0 {
        // In the past: a time-out that has passed already.
        return Ok(1);
    }
    Ok((sec as u64)
        .saturating_mul(1_000_000_000)
        .saturating_add(usec as u64 * 1000))
}

/// `setsockopt` and `getsockopt` of `SOL_SOCKET`.
pub mod sol_socket {
    use super::*;

    /// Sets an option.
    pub fn set(socket: &dyn Socket, task: &Arc<Task>, name: i32, value: &[u8]) -> Result<()> {
        use SockOption::*;
        let base = socket.base();
        let Some(option) = SockOption::from_number(name) else {
            return socket.set_option(task, SOL_SOCKET, name, value);
        };
        match option {
            AttachFilter => return base.attach_filter(task, value),
            DetachFilter => return base.detach_filter(),
            Linger => {
                ensure!(value.len() >= 8, EINVAL, "the option is a struct linger");
                let on = int(value)?;
                let seconds = int(&value[4..])?;
                let both = if on == 0 {
                    0
                } else {
                    1 << 32 | seconds as u32 as u64
                };
                base.linger.store(both, Ordering::Relaxed);
                return Ok(());
            }
            RcvTimeoOld | RcvTimeoNew => {
                base.rcvtimeo.store(timeval(value)?, Ordering::Relaxed);
                return Ok(());
            }
            SndTimeoOld | SndTimeoNew => {
                base.sndtimeo.store(timeval(value)?, Ordering::Relaxed);
                return Ok(());
            }
            _ => {}
        }
        let number = int(value)?;
        let admin = || task.cred().capable(Capability::NET_ADMIN);
        let core = &task.kernel().net.core;
        let double = |max: u32, min: u32| {
            let asked = (number as u32).min(max).min(i32::MAX as u32 / 2);
            (asked * 2).max(min)
        };
        match option {
            Type | Protocol | Domain | Cookie | NetnsCookie | Error | AcceptConn | PeerCred | PeerGroups
            | SndLowat => {
                bail!(ENOPROTOOPT, "the option cannot be set")
            }
            Debug => {
                ensure!(number == 0 || admin(), EACCES, "SO_DEBUG: no CAP_NET_ADMIN");
                base.set_flag(option, number != 0);
            }
            ReuseAddr | ReusePort | DontRoute | Broadcast | KeepAlive | OobInline | NoCheck => {
                base.set_flag(option, number != 0);
                if option == KeepAlive {
                    socket.keep_alive(number != 0);
                }
            }
            SndBuf => base
                .sndbuf
                .store(double(core.wmem_max.get() as u32, MIN_SNDBUF), Ordering::Relaxed),
            RcvBuf => base
                .rcvbuf
                .store(double(core.rmem_max.get() as u32, MIN_RCVBUF), Ordering::Relaxed),
            SndBufForce | RcvBufForce => {
                ensure!(admin(), EPERM, "no CAP_NET_ADMIN");
                if option == SndBufForce {
                    base.sndbuf.store(double(u32::MAX, MIN_SNDBUF), Ordering::Relaxed);
                } else {
                    base.rcvbuf.store(double(u32::MAX, MIN_RCVBUF), Ordering::Relaxed);
                }
            }
            Priority => {
                let plain = (0..=6).contains(&number);
                ensure!(plain || admin(), EPERM, "SO_PRIORITY: no CAP_NET_ADMIN");
                base.priority.store(number as u32, Ordering::Relaxed);
            }
            LockFilter => base.lock_filter(number != 0)?,
            PassCred => base.passcred.store(number != 0, Ordering::Relaxed),
            RcvLowat => {
                let bytes = match number {
                    n if n < 0 => i32::MAX,
                    n => n.max(1),
                };
                base.rcvlowat.store(bytes, Ordering::Relaxed);
            }
            AttachFilter | DetachFilter | Linger | RcvTimeoOld | RcvTimeoNew | SndTimeoOld | SndTimeoNew => {}
        }
        Ok(())
    }

    /// The instructions of the filter (`SO_GET_FILTER`), 8 bytes each; none: there is no filter.
    pub fn filter(socket: &dyn Socket) -> Vec<u8> {
        socket.base().filter_code()
    }

    /// Gets an option: its bytes, of which the caller takes what it has room for.
    pub fn get(socket: &dyn Socket, task: &Arc<Task>, name: i32, len: usize) -> Result<Vec<u8>> {
        use SockOption::*;
        let base = socket.base();
        let Some(option) = SockOption::from_number(name) else {
            return socket.get_option(task, SOL_SOCKET, name, len);
        };
        let number = match option {
            Type => base.kind as i32,
            Protocol => base.protocol,
            Domain => socket.family() as i32,
            Cookie => {
                ensure!(len >= 8, EINVAL, "SO_COOKIE: 8 bytes");
                return Ok(base.cookie.to_ne_bytes().to_vec());
            }
            NetnsCookie => {
                ensure!(len == 8, EINVAL, "SO_NETNS_COOKIE: 8 bytes");
                return Ok(socket.net_ns().0.to_ne_bytes().to_vec());
            }
            Error => base.error.swap(0, Ordering::SeqCst),
            AcceptConn => socket.is_listening() as i32,
            Debug | ReuseAddr | ReusePort | DontRoute | Broadcast | KeepAlive | OobInline | NoCheck => {
                base.flag(option) as i32
            }
            SndBuf => base.sndbuf() as i32,
            RcvBuf => base.rcvbuf() as i32,
            Priority => base.priority.load(Ordering::Relaxed) as i32,
            PassCred => base.passcred() as i32,
            RcvLowat => base.rcvlowat.load(Ordering::Relaxed),
            SndLowat => 1,
            Linger => {
                let both = base.linger.load(Ordering::Relaxed);
                return Ok([(both >> 32) as u32, both as u32].map(u32::to_ne_bytes).concat());
            }
            RcvTimeoOld | RcvTimeoNew | SndTimeoOld | SndTimeoNew => {
                let nanos = base.timeout(matches!(option, SndTimeoOld | SndTimeoNew));
                let words = [nanos / 1_000_000_000, nanos % 1_000_000_000 / 1000];
                return Ok(words.map(u64::to_ne_bytes).concat());
            }
            PeerCred | PeerGroups => return socket.get_option(task, SOL_SOCKET, name, len),
            LockFilter => base.filter.lock().locked as i32,
            AttachFilter | DetachFilter | SndBufForce | RcvBufForce => {
                bail!(ENOPROTOOPT, "the option cannot be read")
            }
        };
        Ok(number.to_ne_bytes().to_vec())
    }
}
