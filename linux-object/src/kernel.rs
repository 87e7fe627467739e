//! The kernel as a value.
//!
//! [`Kernel::new`] makes one from a machine. It owns the KoID table, the initial namespaces, the
//! set of tasks, the mounts, the scheduler and the clocks; nothing else in this library outlives
//! a call. Each host test makes its own.

use alloc::string::String;
use alloc::sync::Arc;

use crate::hal::Hal;
use crate::kobject::KoidTable;
use crate::namespace::{
    CgroupNamespace, IpcNamespace, MntNamespace, NetNamespace, NsProxy, NsRegistry, PidNamespace, TimeNamespace,
    UserNamespace, UtsNamespace,
};
use crate::task::TaskSet;

/// What the boot loader handed over.
#[derive(Default)]
pub struct BootInfo {
    /// The kernel command line.
    pub cmdline: String,
    /// The initial RAM file system: newc archives, each plain or gzip.
    pub initrd: Option<&'static [u8]>,
}

/// A running kernel.
pub struct Kernel {
    /// The machine.
    pub hal: Arc<dyn Hal>,
    /// Every object by KoID.
    pub koids: Arc<KoidTable>,
    /// Every namespace.
    pub namespaces: Arc<NsRegistry>,
    /// The initial user namespace.
    pub init_user_ns: Arc<UserNamespace>,
    /// The other initial namespaces.
    pub init_nsproxy: Arc<NsProxy>,
    /// Every task, and the process tree.
    pub tasks: TaskSet,
    /// The command line.
    pub cmdline: String,
}

impl Kernel {
    /// A kernel without tasks on this machine.
    pub fn new(hal: Arc<dyn Hal>, boot: BootInfo) -> Arc<Kernel> {
        let koids = Arc::new(KoidTable::new());
        let namespaces = NsRegistry::new(koids.clone());
        // Linux's fork_init: threads may use an eighth of memory, at 16 KiB each.
        let threads_max = (hal.frame_stats().total / 32).clamp(20, 1 << 22);
        let init_user_ns = UserNamespace::initial(&namespaces, threads_max);
        let time_ns = TimeNamespace::initial(&namespaces, &init_user_ns);
        let init_nsproxy = Arc::new(NsProxy {
            uts_ns: UtsNamespace::initial(&namespaces, &init_user_ns),
            ipc_ns: IpcNamespace::initial(&namespaces, &init_user_ns),
            mnt_ns: MntNamespace::initial(&namespaces, &init_user_ns),
            pid_ns_for_children: PidNamespace::initial(&namespaces, init_user_ns.clone()),
            net_ns: NetNamespace::initial(&namespaces, &init_user_ns),
            cgroup_ns: CgroupNamespace::initial(&namespaces, &init_user_ns),
            time_ns_for_children: time_ns.clone(),
            time_ns,
        });
        Arc::new(Kernel {
            tasks: TaskSet::new(threads_max, hal.nr_cpus()),
            hal,
            namespaces,
            init_user_ns,
            init_nsproxy,
            koids,
            cmdline: boot.cmdline,
        })
    }
}
