//! The lock order, declared once.
//!
//! From the outermost to the innermost. A lock may be taken while locks of *smaller* rank are
//! held, never otherwise; two locks of one class only through `lock_nested`, whose caller states
//! the order (by address, by depth in a tree).
//!
//! User memory may be copied while any class above [`Mm`] in this list is held: a fault
//! takes `Mm` and what follows it.

/// A class of locks with its place in the order.
pub trait LockClass: 'static {
    /// Position in the order; outer locks have smaller ranks.
    const RANK: u8;
    /// For diagnostics and the documents.
    const NAME: &'static str;
}

macro_rules! lock_classes {
    ($($(#[doc = $doc:literal])+ $name:ident,)*) => {
        lock_classes!(@ 0u8; $($(#[doc = $doc])+ $name,)*);
        /// Every class in order, outermost first, with what it protects.
        pub const ALL: &[(&str, &str)] = &[$((stringify!($name), concat!($($doc),+))),*];
    };
    (@ $rank:expr; $(#[doc = $doc:literal])+ $name:ident, $($rest:tt)*) => {
        $(#[doc = $doc])+
        #[derive(Debug)]
        pub enum $name {}
        impl LockClass for $name {
            const RANK: u8 = $rank;
            const NAME: &'static str = stringify!($name);
        }
        lock_classes!(@ $rank + 1; $($rest)*);
    };
    (@ $rank:expr;) => {};
}

lock_classes! {
    /// A file system context while one of its steps runs.
    FsContext,
    /// Devices, addresses and routes of every network namespace while they change (Linux's `rtnl`).
    Rtnl,
    /// Which task is in which cgroup, and the shape of the cgroup trees.
    CgroupMembership,
    /// The mount trees of all mount namespaces and their propagation.
    MountTopology,
    /// Pids, parents, children, process groups, sessions.
    TaskSet,
    /// Signal actions and pending signals of a thread group.
    SigHand,
    /// The tasks of one `CssSet`: who is in which cgroups.
    CssSet,
    /// What follows from tasks coming and going: cgroups populated, frozen.
    CgroupState,
    /// The parent and owner edges of namespaces, and id maps.
    NamespaceTree,
    /// A file descriptor table.
    FileTable,
    /// An epoll instance: its interest list. Outside of the files that it watches.
    Epoll,
    /// One open file description: position, flags, owner.
    OpenFile,
    /// The shape of one file system's directory tree (Linux's `s_vfs_rename_mutex`).
    Rename,
    /// A directory while its entries change.
    Directory,
    /// The terminals of a devpts instance.
    Devpts,
    /// Terminals: line discipline, foreground group.
    Tty,
    /// An inode's own state, a pipe, a socket, an eventfd …
    Inode,
    /// The network stack of one namespace.
    Net,
    /// The dentry cache: children of one dentry.
    Dentry,
    /// The advisory locks of an inode.
    FileLocks,
    /// System V and POSIX IPC objects of a namespace.
    Ipc,
    /// The links of all keyrings while they change.
    Keyring,
    /// A key's own state.
    Key,
    /// Futexes with priority inheritance: owners and waiters, and their words while they change.
    FutexPi,
    /// An address space: its VMAs and page tables.
    Mm,
    /// The pages of one file.
    PageCache,
    /// Futex hash buckets.
    Futex,
    /// The setting of one timerfd, interval timer or POSIX timer.
    TimerState,
    /// Timer queues.
    Timer,
    /// Ready lists of epoll and the like, filled by wake-ups.
    Ready,
    /// Wait queues.
    WaitQueue,
    /// One task's scheduling state (Linux's `pi_lock`).
    SchedTask,
    /// The run queue of one CPU.
    RunQueue,
    /// Resource counters that need a lock.
    Counter,
    /// One task's replaceable parts: credentials, nsproxy, fs, files, mm.
    Task,
    /// The table of all `CssSet`s.
    CssSetTable,
    /// Shards of the KoID table and other leaf tables.
    KoidTable,
    /// Small leaf locks that call nothing.
    Leaf,
    /// The console's output.
    Console,
}
