//! The kernel as a value.
//!
//! [`Kernel::new`] makes one from a machine. It owns the KoID table, the initial namespaces, the
//! set of tasks, the mounts, the scheduler and the clocks; nothing else in this library outlives
//! a call. Each host test makes its own.

use alloc::string::String;
use alloc::sync::Arc;

use crate::cmdline::Cmdline;
use crate::hal::Hal;
use crate::kobject::KoidTable;
use crate::mm::Memory;
use crate::namespace::UserNamespace;
use crate::sysctl::Sysctls;

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
    pub koids: KoidTable,
    /// The initial user namespace.
    pub init_user_ns: Arc<UserNamespace>,
    /// Settings of `/proc/sys` that belong to the whole kernel.
    pub sysctl: Arc<Sysctls>,
    /// Memory management: settings and totals.
    pub memory: Arc<Memory>,
    /// The command line.
    pub cmdline: Cmdline,
}

impl Kernel {
    /// A kernel without tasks on this machine.
    pub fn new(hal: Arc<dyn Hal>, boot: BootInfo) -> Arc<Kernel> {
        let koids = KoidTable::new();
        let init_user_ns = UserNamespace::initial(koids.allocate());
        let sysctl = Arc::new(Sysctls::default());
        let memory = Memory::new(hal.clone(), sysctl.clone());
        Arc::new(Kernel {
            hal,
            memory,
            init_user_ns,
            koids,
            sysctl,
            cmdline: Cmdline::parse(&boot.cmdline),
        })
    }
}
