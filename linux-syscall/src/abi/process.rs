//! Processes, signals, system.

crate::abi! {
    /// The kernel's `struct sigaction`.
    SigAction[32] { handler: u64, flags: u64, restorer: u64, mask: u64, }
    /// `siginfo_t`.
    SigInfo[128] { signo: i32, errno: i32, code: i32, pad0: i32, fields: [u64; 14], }
    /// `stack_t`.
    StackT[24] { sp: u64, flags: i32, pad0: u32, size: u64, }
    /// The sixth argument of `pselect6`.
    SigMaskArg[16] { mask: u64, size: u64, }
    /// `struct rlimit64`.
    Rlimit[16] { cur: u64, max: u64, }
    /// `struct rusage`.
    Rusage[144] {
        utime: super::Timeval, stime: super::Timeval, maxrss: i64, ixrss: i64, idrss: i64, isrss: i64,
        minflt: i64, majflt: i64, nswap: i64, inblock: i64, oublock: i64, msgsnd: i64, msgrcv: i64,
        nsignals: i64, nvcsw: i64, nivcsw: i64,
    }
    /// `struct new_utsname`.
    UtsName[390] {
        sysname: [u8; 65], nodename: [u8; 65], release: [u8; 65], version: [u8; 65], machine: [u8; 65],
        domainname: [u8; 65],
    }
    /// `struct sysinfo`.
    SysInfo[112] {
        uptime: i64, loads: [u64; 3], totalram: u64, freeram: u64, sharedram: u64, bufferram: u64,
        totalswap: u64, freeswap: u64, procs: u16, pad0: u16, pad1: u32, totalhigh: u64, freehigh: u64,
        mem_unit: u32, pad2: u32,
    }
    /// `struct __user_cap_header_struct`.
    CapHeader[8] { version: u32, pid: i32, }
    /// `struct __user_cap_data_struct`; two of them from version 3 on.
    CapData[12] { effective: u32, permitted: u32, inheritable: u32, }
    /// `struct futex_waitv`.
    FutexWaitv[24] { val: u64, uaddr: u64, flags: u32, reserved: u32, }
    /// `struct kcmp_epoll_slot`.
    KcmpEpollSlot[12] { efd: u32, tfd: u32, toff: u32, }
    /// `struct sched_param`.
    SchedParam[4] { priority: i32, }
    /// `struct sched_attr`.
    SchedAttr[56] {
        size: u32, policy: u32, flags: u64, nice: i32, priority: u32, runtime: u64, deadline: u64, period: u64,
        util_min: u32, util_max: u32,
    }
    /// `struct clone_args`.
    CloneArgs[88] {
        flags: u64, pidfd: u64, child_tid: u64, parent_tid: u64, exit_signal: u64, stack: u64, stack_size: u64,
        tls: u64, set_tid: u64, set_tid_size: u64, cgroup: u64,
    }
    /// `struct robust_list_head`.
    RobustListHead[24] { list: u64, futex_offset: i64, list_op_pending: u64, }
}
