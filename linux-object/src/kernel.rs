//! The kernel as a value.
//!
//! [`Kernel::new`] makes one from a machine. It owns the KoID table, the initial namespaces, the
//! set of tasks, the mounts, the scheduler and the clocks; nothing else in this library outlives
//! a call. Each host test makes its own.

use alloc::string::String;
use alloc::sync::Arc;

use crate::bpf;
use crate::cgroup::{Cgroups, CssEnv};
use crate::cmdline::Cmdline;
use crate::fs::epoll::EpollUsers;
use crate::fs::inotify::WatchTotal;
use crate::fs::pipe::PipeUsers;
use crate::fs::{FsTypes, Vfs};
use crate::futex::{FutexTable, PiGraph};
use crate::hal::Hal;
use crate::keys::Keys;
use crate::kobject::KoidTable;
use crate::loader::Vdso;
use crate::log_ring::LogRing;
use crate::mm::Memory;
use crate::namespace::{InitNamespaces, NsRegistry, UserNamespace};
use crate::net::nic;
use crate::net::stack::NetShared;
use crate::net::unix::UnixTable;
use crate::rng::Rng;
use crate::sched::Scheduler;
use crate::seccomp::SeccompLog;
use crate::sync::{SpinLock, class};
use crate::sysctl::Sysctls;
use crate::task::{KcmpOrder, Task, TaskSet};
use crate::time::{ClockEvents, Timekeeper, Timers};
use crate::tty::Ttys;

/// What the boot loader handed over.
#[derive(Default)]
pub struct BootInfo {
    /// The kernel command line.
    pub cmdline: String,
}

/// A running kernel.
pub struct Kernel {
    /// The machine.
    pub hal: Arc<dyn Hal>,
    /// Every object by KoID.
    pub koids: Arc<KoidTable>,
    /// How many files are watched.
    pub watches: Arc<WatchTotal>,
    /// Every namespace.
    pub namespaces: Arc<NsRegistry>,
    /// The initial user namespace.
    pub init_user_ns: Arc<UserNamespace>,
    /// The other initial namespaces, but for the mount namespace (`vfs` has it).
    pub init_ns: InitNamespaces,
    /// Every task, and the process tree.
    pub tasks: TaskSet,
    /// Settings of `/proc/sys` that belong to the whole kernel.
    pub sysctl: Arc<Sysctls>,
    /// What the filters of system calls log.
    pub seccomp_log: SeccompLog,
    /// Programs of extended BPF by id.
    pub bpf: Arc<bpf::Progs>,
    /// Memory management: settings and totals.
    pub memory: Arc<Memory>,
    /// User code for the clocks; `None` with `vdso=0` on the command line.
    pub vdso: Option<Arc<Vdso>>,
    /// Pages of pipes by user.
    pub pipe_users: Arc<PipeUsers>,
    /// Requests of asynchronous I/O.
    pub aio: Arc<crate::fs::aio::AioTotal>,
    /// epoll watches by user.
    pub epoll_users: Arc<EpollUsers>,
    /// File system types by name.
    pub fs_types: FsTypes,
    /// Mounts, devices and the like.
    pub vfs: Vfs,
    /// Names of AF_UNIX sockets.
    pub unix: Arc<UnixTable>,
    /// What the network namespaces share.
    pub net: Arc<NetShared>,
    /// The terminals.
    pub ttys: Ttys,
    /// The command line.
    pub cmdline: Cmdline,
    /// Control groups.
    pub cgroups: Cgroups,
    /// Run queues and switching.
    pub sched: Scheduler,
    /// Timer queues.
    pub timers: Arc<Timers>,
    /// The clocks.
    pub time: Arc<Timekeeper>,
    /// Futex waiters.
    pub futexes: FutexTable,
    /// Futexes with priority inheritance.
    pub pi_futexes: SpinLock<PiGraph<Arc<Task>>, class::FutexPi>,
    /// Random numbers.
    pub rng: Rng,
    /// Keys and keyrings.
    pub keys: Arc<Keys>,
    /// The order that `kcmp(2)` gives.
    pub kcmp: KcmpOrder,
    /// The kernel log.
    pub log: LogRing,
}

impl Kernel {
    /// A kernel without tasks on this machine.
    pub fn new(hal: Arc<dyn Hal>, boot: BootInfo) -> Arc<Kernel> {
        let koids = Arc::new(KoidTable::new());
        let namespaces = NsRegistry::new(koids.clone());
        // Linux's fork_init: threads may use an eighth of memory, at 16 KiB each.
        let threads_max = (hal.frame_stats().total / 32).clamp(20, 1 << 22);
        let init_user_ns = UserNamespace::initial(&namespaces, threads_max);
        let events = ClockEvents::new(hal.clone());
        let sysctl = Arc::new(Sysctls::default());
        let time = Arc::new(Timekeeper::new(hal.clone()));
        let timers = Arc::new(Timers::new(hal.clone(), events.clone()));
        let net = NetShared::new(time.clone(), timers.clone(), Rng::new(&*hal));
        let memory = Memory::new(hal.clone(), sysctl.clone(), time.clone());
        let cmdline = Cmdline::parse(&boot.cmdline);
        if cmdline.has("norandmaps") {
            sysctl.randomize_va_space.set(0);
        }
        let vdso = Vdso::start(&hal, &time, &cmdline);
        let sched = Scheduler::new(hal.clone(), events.clone(), &sysctl.rt_bandwidth);
        memory.control.set_current(sched.current_finder());
        let cgroups = Cgroups::new(
            &koids,
            &CssEnv {
                hal: &hal,
                memory: &memory,
                sched: &sched,
                time: &time,
            },
        );
        let init_ns = InitNamespaces::new(&namespaces, &init_user_ns, cgroups.init_set(), net.clone());
        nic::start(&hal, init_ns.net_ns.stack());
        let rng = Rng::new(&*hal);
        let vfs = Vfs::new(&*hal);
        let keys = Keys::new(&*hal, &time, &timers, &memory.control, &sysctl);
        Arc::new(Kernel {
            keys,
            sched,
            cgroups,
            timers,
            net,
            time,
            vdso,
            futexes: FutexTable::new(),
            pi_futexes: SpinLock::default(),
            kcmp: KcmpOrder::new(&rng),
            rng,
            log: LogRing::new(),
            ttys: Ttys::new(&hal),
            tasks: TaskSet::new(threads_max, hal.nr_cpus()),
            hal,
            memory,
            seccomp_log: SeccompLog::default(),
            bpf: Arc::default(),
            namespaces,
            init_user_ns,
            init_ns,
            koids,
            watches: Arc::default(),
            fs_types: FsTypes::default(),
            vfs,
            sysctl,
            pipe_users: Arc::default(),
            aio: Arc::default(),
            epoll_users: Arc::default(),
            unix: Arc::default(),
            cmdline,
        })
    }

    /// The machine's timer fired on this CPU: runs timers and looks at the running task's slice.
    pub fn timer_interrupt(&self) {
        self.sched.tick();
        self.timers.run_due();
    }

    /// Another CPU kicked this one.
    pub fn kick_interrupt(&self) {
        self.sched.kick_interrupt();
    }

    /// Bytes came in on the console. Called without locks.
    pub fn console_input(&self, bytes: &[u8]) {
        self.ttys.console.receive(bytes, self.time.now());
    }
}
