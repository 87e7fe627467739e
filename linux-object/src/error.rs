//! Errors: an errno and, for free, the reason.
//!
//! An [`Error`] is one pointer to a static [`ErrorInfo`], so `Result<(), Error>` is a single
//! register. The reason never reaches user space; the kernel's own strace prints it.
//!
//! ```
//! use linux_object::{bail, error::{Errno, Result}};
//! fn setns(allowed: bool) -> Result<()> {
//!     if !allowed {
//!         bail!(EPERM, "setns: no CAP_SYS_ADMIN in the target's owner");
//!     }
//!     Ok(())
//! }
//! assert_eq!(setns(false).unwrap_err().errno(), Errno::EPERM);
//! ```

use core::fmt;

/// What an [`Error`] points to.
#[derive(Debug)]
pub struct ErrorInfo {
    /// The number that user space sees.
    pub errno: Errno,
    /// Why, in the words of the man page; empty where the errno says it all.
    pub why: &'static str,
}

/// An error of a kernel operation.
#[derive(Clone, Copy)]
pub struct Error(pub &'static ErrorInfo);

/// The result of a kernel operation.
pub type Result<T, E = Error> = core::result::Result<T, E>;

impl Error {
    /// The error number.
    pub fn errno(self) -> Errno {
        self.0.errno
    }
    /// The reason, or an empty string.
    pub fn why(self) -> &'static str {
        self.0.why
    }
}

impl PartialEq for Error {
    fn eq(&self, other: &Error) -> bool {
        self.errno() == other.errno()
    }
}

impl PartialEq<Errno> for Error {
    fn eq(&self, other: &Errno) -> bool {
        self.errno() == *other
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.why().is_empty() {
            write!(f, "{:?}", self.errno())
        } else {
            write!(f, "{:?} ({})", self.errno(), self.why())
        }
    }
}

/// Makes an [`Error`]: `err!(ENOENT)` or `err!(EPERM, "why")`.
#[macro_export]
macro_rules! err {
    ($errno:ident) => {
        $crate::err!($errno, "")
    };
    ($errno:ident, $why:literal) => {{
        static INFO: $crate::error::ErrorInfo = $crate::error::ErrorInfo {
            errno: $crate::error::Errno::$errno,
            why: $why,
        };
        $crate::error::Error(&INFO)
    }};
}

/// Returns early with [`err!`].
#[macro_export]
macro_rules! bail {
    ($($t:tt)*) => {
        return Err($crate::err!($($t)*))
    };
}

/// Returns early with [`err!`] unless the condition holds.
#[macro_export]
macro_rules! ensure {
    ($cond:expr, $($t:tt)*) => {
        if !$cond {
            $crate::bail!($($t)*);
        }
    };
}

macro_rules! errnos {
    ($($name:ident = $nr:literal,)*) => {
        /// Linux's error numbers for x86-64 (`errno(3)`), and the kernel-internal restart codes.
        #[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
        #[allow(missing_docs)]
        #[repr(i32)]
        pub enum Errno { $($name = $nr,)* }

        impl Errno {
            /// From its number.
            pub fn from_number(number: i32) -> Option<Errno> {
                match number { $($nr => Some(Errno::$name),)* _ => None }
            }
        }

        impl From<Errno> for Error {
            fn from(errno: Errno) -> Error {
                match errno { $(Errno::$name => $crate::err!($name),)* }
            }
        }
    };
}

errnos! {
    EPERM = 1, ENOENT = 2, ESRCH = 3, EINTR = 4, EIO = 5, ENXIO = 6, E2BIG = 7, ENOEXEC = 8,
    EBADF = 9, ECHILD = 10, EAGAIN = 11, ENOMEM = 12, EACCES = 13, EFAULT = 14, ENOTBLK = 15,
    EBUSY = 16, EEXIST = 17, EXDEV = 18, ENODEV = 19, ENOTDIR = 20, EISDIR = 21, EINVAL = 22,
    ENFILE = 23, EMFILE = 24, ENOTTY = 25, ETXTBSY = 26, EFBIG = 27, ENOSPC = 28, ESPIPE = 29,
    EROFS = 30, EMLINK = 31, EPIPE = 32, EDOM = 33, ERANGE = 34, EDEADLK = 35,
    ENAMETOOLONG = 36, ENOLCK = 37, ENOSYS = 38, ENOTEMPTY = 39, ELOOP = 40, ENOMSG = 42,
    EIDRM = 43, ENODATA = 61, ETIME = 62, ENONET = 64, ENOLINK = 67, EPROTO = 71, EBADMSG = 74,
    EOVERFLOW = 75, EBADFD = 77, ELIBBAD = 80, EILSEQ = 84, EUSERS = 87, ENOTSOCK = 88, EDESTADDRREQ = 89, EMSGSIZE = 90,
    EPROTOTYPE = 91, ENOPROTOOPT = 92, EPROTONOSUPPORT = 93, ESOCKTNOSUPPORT = 94,
    EOPNOTSUPP = 95, EPFNOSUPPORT = 96, EAFNOSUPPORT = 97, EADDRINUSE = 98,
    EADDRNOTAVAIL = 99, ENETDOWN = 100, ENETUNREACH = 101, ENETRESET = 102,
    ECONNABORTED = 103, ECONNRESET = 104, ENOBUFS = 105, EISCONN = 106, ENOTCONN = 107,
    ESHUTDOWN = 108, ETOOMANYREFS = 109, ETIMEDOUT = 110, ECONNREFUSED = 111,
    EHOSTDOWN = 112, EHOSTUNREACH = 113, EALREADY = 114, EINPROGRESS = 115, ESTALE = 116,
    EDQUOT = 122, ECANCELED = 125, ENOKEY = 126, EKEYEXPIRED = 127, EKEYREVOKED = 128,
    EKEYREJECTED = 129, EOWNERDEAD = 130, ENOTRECOVERABLE = 131,
    // Never seen by user space: how an interrupted call is to be restarted.
    ERESTARTSYS = 512, ERESTARTNOINTR = 513, ERESTARTNOHAND = 514, ERESTARTBLOCK = 516,
}
