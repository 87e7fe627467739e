//! Settings that the administrator may change while the kernel runs (`/proc/sys`, `sysctl(8)`).
//!
//! Model: one atomic cell per setting that belongs to the whole kernel; the subsystem that it
//! steers reads the cell at each use. Settings that belong to a namespace live in the namespace.
//! `fs/procfs/sysctl` gives the cells their names, ranges and permissions. Only settings that have
//! an effect are here.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU64, Ordering};

use spin::Once;

use crate::sched::RtBandwidth;
use crate::sync::{SpinLock, class};

/// One number. Signed settings keep their two's complement.
pub struct Setting(AtomicU64);

impl Setting {
    /// A setting with its default.
    pub const fn new(value: i64) -> Setting {
        Setting(AtomicU64::new(value as u64))
    }
    /// The value.
    #[inline]
    pub fn get(&self) -> i64 {
        self.0.load(Ordering::Relaxed) as i64
    }
    /// The value as an unsigned number.
    #[inline]
    pub fn get_u64(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
    /// Changes it.
    pub fn set(&self, value: i64) {
        self.0.store(value as u64, Ordering::Relaxed);
    }
}

macro_rules! settings {
    ($($(#[$doc:meta])* $name:ident = $default:expr,)*) => {
        /// The settings of one kernel.
        pub struct Sysctls {
            $($(#[$doc])* pub $name: Setting,)*
            /// `kernel.core_pattern`. Core files are not written; programs read it.
            pub core_pattern: SpinLock<Vec<u8>, class::Leaf>,
            /// `kernel.sched_rt_runtime_us` and `kernel.sched_rt_period_us`.
            pub rt_bandwidth: Arc<RtBandwidth>,
            /// `kernel.random.boot_id`, once it was asked for.
            pub boot_id: Once<[u8; 16]>,
        }
        impl Default for Sysctls {
            fn default() -> Sysctls {
                Sysctls {
                    $($name: Setting::new($default),)*
                    core_pattern: SpinLock::new(b"core".to_vec()),
                    rt_bandwidth: Arc::default(),
                    boot_id: Once::new(),
                }
            }
        }
    };
}

settings! {
    /// `kernel.randomize_va_space`: 0 off, 1 stack and mmap, 2 the heap too.
    randomize_va_space = 2,
    /// `kernel.unprivileged_userns_clone`: user namespaces without `CAP_SYS_ADMIN` (Debian's switch).
    unprivileged_userns_clone = 1,
    /// `kernel.dmesg_restrict`: reading the log needs `CAP_SYSLOG`.
    dmesg_restrict = 0,
    /// `kernel.seccomp.actions_logged`, by [`Action::log_bit`](crate::seccomp::Action::log_bit).
    seccomp_actions_logged = crate::seccomp::Action::LOGGED_AT_FIRST,
    /// `kernel.unprivileged_bpf_disabled`: 0 everybody may, 1 not and for ever, 2 not (as Debian sets it).
    unprivileged_bpf_disabled = 2,
    /// `kernel.pty.max`: pseudo-terminals of all instances of devpts stay below it.
    pty_max = 4096,
    /// `kernel.pty.reserve`: how many of them only those mounted in the initial mount namespace may use.
    pty_reserve = 1024,
    /// `kernel.ctrl-alt-del`: whether these keys restart the machine at once, or tell the first process. A
    /// serial console has no such keys; `reboot(2)` sets it too.
    ctrl_alt_del = 1,
    /// `kernel.tainted`: what the administrator has noted.
    tainted = 0,
    /// `fs.aio-max-nr`: requests of asynchronous I/O.
    aio_max_nr = 65536,
    /// `fs.nr_open`: descriptors are below it, and so is what `RLIMIT_NOFILE` may be raised to.
    nr_open = 1 << 20,
    /// `fs.mount-max`: mounts in one mount namespace.
    mount_max = 100000,
    /// `fs.pipe-max-size`: what `F_SETPIPE_SZ` allows without `CAP_SYS_RESOURCE`.
    pipe_max_size = 1048576,
    /// `fs.pipe-user-pages-soft`.
    pipe_user_pages_soft = 16384,
    /// `fs.pipe-user-pages-hard`.
    pipe_user_pages_hard = 0,
    /// `fs.protected_symlinks` (as Debian sets it).
    protected_symlinks = 1,
    /// `fs.protected_hardlinks`.
    protected_hardlinks = 1,
    /// `fs.protected_fifos`.
    protected_fifos = 1,
    /// `fs.protected_regular`.
    protected_regular = 2,
    /// `fs.suid_dumpable`.
    suid_dumpable = 0,
    /// `fs.dir-notify-enable`: whether `F_NOTIFY` is allowed.
    dir_notify_enable = 1,
    /// `fs.inotify.max_queued_events`.
    inotify_max_queued_events = 16384,
    /// `fs.epoll.max_user_watches`.
    epoll_max_user_watches = 200000,
    /// `kernel.keys.maxkeys`: keys that a user may have.
    key_maxkeys = 200,
    /// `kernel.keys.maxbytes`: bytes of descriptions, payloads and links.
    key_maxbytes = 20000,
    /// `kernel.keys.root_maxkeys`: likewise of root.
    key_root_maxkeys = 1000000,
    /// `kernel.keys.root_maxbytes`.
    key_root_maxbytes = 25000000,
    /// `kernel.keys.gc_delay`: seconds for which a revoked or expired key is kept.
    key_gc_delay = 300,
    /// `kernel.keys.persistent_keyring_expiry`: seconds.
    key_persistent_expiry = 259200,
    /// `vm.overcommit_memory`: 0 heuristic, 1 always, 2 never.
    overcommit_memory = 0,
    /// `vm.overcommit_ratio`.
    overcommit_ratio = 50,
    /// `vm.overcommit_kbytes`.
    overcommit_kbytes = 0,
    /// `vm.admin_reserve_kbytes`: what `vm.overcommit_memory` 2 keeps for the administrator.
    admin_reserve_kbytes = 8192,
    /// `vm.oom_kill_allocating_task`: without memory, who asks for it is killed and not the largest.
    oom_kill_allocating_task = 0,
    /// `vm.panic_on_oom`: 1 without memory the kernel stops, 2 also where only a cgroup has none.
    panic_on_oom = 0,
    /// `vm.max_map_count`: mappings of one address space.
    max_map_count = 65530,
    /// `vm.mmap_min_addr`: lowest address of a mapping without `CAP_SYS_RAWIO`.
    mmap_min_addr = 65536,
}
