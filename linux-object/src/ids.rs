//! Identifiers with types.
//!
//! A KoID is identity: 64 bits, never reused. Everything else is a name that some namespace gives:
//! a [`PidNr`] means something only together with a pid namespace, a [`Uid`] only together with a
//! user namespace. [`Kuid`] and [`Kgid`] are the ids of the initial user namespace, the ones the
//! kernel compares; they reach user space only through `UserNamespace::from_kuid`.

use core::fmt;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        #[repr(transparent)]
        pub struct $name(pub $inner);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

id!(
    /// Kernel object id: identity, never reused while the kernel runs (Zircon's term).
    KoID(u64)
);
id!(
    /// The number by which one pid namespace knows a task, thread group, process group or session.
    /// 0 where the object is not visible.
    PidNr(i32)
);
id!(
    /// A user id as the initial user namespace numbers it (Linux's `kuid_t`).
    Kuid(u32)
);
id!(
    /// A group id as the initial user namespace numbers it (Linux's `kgid_t`).
    Kgid(u32)
);
id!(
    /// A user id as some user namespace shows it (`uid_t`).
    Uid(u32)
);
id!(
    /// A group id as some user namespace shows it (`gid_t`).
    Gid(u32)
);
id!(
    /// A file descriptor number.
    Fd(i32)
);
id!(
    /// A processor, numbered from 0.
    CpuId(u32)
);
id!(
    /// A physical page frame number.
    Frame(u32)
);
id!(
    /// An address in some user address space. An allegation until a copy succeeds.
    UserAddr(u64)
);

impl Kuid {
    /// The super-user of the initial user namespace.
    pub const ROOT: Kuid = Kuid(0);
}
impl Kgid {
    /// The root group of the initial user namespace.
    pub const ROOT: Kgid = Kgid(0);
}

impl UserAddr {
    /// The null pointer.
    pub const NULL: UserAddr = UserAddr(0);
    /// Whether this is the null pointer.
    pub fn is_null(self) -> bool {
        self.0 == 0
    }
    /// The address `n` bytes further on, wrapping; a copy at a wrapped address fails.
    pub fn offset(self, n: u64) -> UserAddr {
        UserAddr(self.0.wrapping_add(n))
    }
    /// The start of the page this address lies in.
    pub fn page(self) -> UserAddr {
        UserAddr(self.0 & !(PAGE_SIZE as u64 - 1))
    }
}

/// Bytes in a page.
pub const PAGE_SIZE: usize = 4096;
/// log2 of [`PAGE_SIZE`].
pub const PAGE_SHIFT: u32 = 12;
/// First address above user space (`TASK_SIZE_MAX`): the last page is never mapped.
pub const USER_END: u64 = 0x7fff_ffff_f000;
