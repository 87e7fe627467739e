//! Capability numbers and sets (`capabilities(7)`, `linux/capability.h`).

/// A capability.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs, non_camel_case_types)]
#[repr(u8)]
pub enum Capability {
    CHOWN = 0,
    DAC_OVERRIDE = 1,
    DAC_READ_SEARCH = 2,
    FOWNER = 3,
    FSETID = 4,
    KILL = 5,
    SETGID = 6,
    SETUID = 7,
    SETPCAP = 8,
    LINUX_IMMUTABLE = 9,
    NET_BIND_SERVICE = 10,
    NET_BROADCAST = 11,
    NET_ADMIN = 12,
    NET_RAW = 13,
    IPC_LOCK = 14,
    IPC_OWNER = 15,
    SYS_MODULE = 16,
    SYS_RAWIO = 17,
    SYS_CHROOT = 18,
    SYS_PTRACE = 19,
    SYS_PACCT = 20,
    SYS_ADMIN = 21,
    SYS_BOOT = 22,
    SYS_NICE = 23,
    SYS_RESOURCE = 24,
    SYS_TIME = 25,
    SYS_TTY_CONFIG = 26,
    MKNOD = 27,
    LEASE = 28,
    AUDIT_WRITE = 29,
    AUDIT_CONTROL = 30,
    SETFCAP = 31,
    MAC_OVERRIDE = 32,
    MAC_ADMIN = 33,
    SYSLOG = 34,
    WAKE_ALARM = 35,
    BLOCK_SUSPEND = 36,
    AUDIT_READ = 37,
    PERFMON = 38,
    BPF = 39,
    CHECKPOINT_RESTORE = 40,
}

impl Capability {
    /// The highest number (`/proc/sys/kernel/cap_last_cap`).
    pub const LAST: u8 = Capability::CHECKPOINT_RESTORE as u8;
}

bitflags::bitflags! {
    /// A set of capabilities.
    #[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
    #[allow(missing_docs)]
    pub struct Capabilities: u64 {
        const CHOWN = 1 << Capability::CHOWN as u64;
        const DAC_OVERRIDE = 1 << Capability::DAC_OVERRIDE as u64;
        const DAC_READ_SEARCH = 1 << Capability::DAC_READ_SEARCH as u64;
        const FOWNER = 1 << Capability::FOWNER as u64;
        const FSETID = 1 << Capability::FSETID as u64;
        const KILL = 1 << Capability::KILL as u64;
        const SETGID = 1 << Capability::SETGID as u64;
        const SETUID = 1 << Capability::SETUID as u64;
        const SETPCAP = 1 << Capability::SETPCAP as u64;
        const LINUX_IMMUTABLE = 1 << Capability::LINUX_IMMUTABLE as u64;
        const NET_BIND_SERVICE = 1 << Capability::NET_BIND_SERVICE as u64;
        const NET_BROADCAST = 1 << Capability::NET_BROADCAST as u64;
        const NET_ADMIN = 1 << Capability::NET_ADMIN as u64;
        const NET_RAW = 1 << Capability::NET_RAW as u64;
        const IPC_LOCK = 1 << Capability::IPC_LOCK as u64;
        const IPC_OWNER = 1 << Capability::IPC_OWNER as u64;
        const SYS_MODULE = 1 << Capability::SYS_MODULE as u64;
        const SYS_RAWIO = 1 << Capability::SYS_RAWIO as u64;
        const SYS_CHROOT = 1 << Capability::SYS_CHROOT as u64;
        const SYS_PTRACE = 1 << Capability::SYS_PTRACE as u64;
        const SYS_PACCT = 1 << Capability::SYS_PACCT as u64;
        const SYS_ADMIN = 1 << Capability::SYS_ADMIN as u64;
        const SYS_BOOT = 1 << Capability::SYS_BOOT as u64;
        const SYS_NICE = 1 << Capability::SYS_NICE as u64;
        const SYS_RESOURCE = 1 << Capability::SYS_RESOURCE as u64;
        const SYS_TIME = 1 << Capability::SYS_TIME as u64;
        const SYS_TTY_CONFIG = 1 << Capability::SYS_TTY_CONFIG as u64;
        const MKNOD = 1 << Capability::MKNOD as u64;
        const LEASE = 1 << Capability::LEASE as u64;
        const AUDIT_WRITE = 1 << Capability::AUDIT_WRITE as u64;
        const AUDIT_CONTROL = 1 << Capability::AUDIT_CONTROL as u64;
        const SETFCAP = 1 << Capability::SETFCAP as u64;
        const MAC_OVERRIDE = 1 << Capability::MAC_OVERRIDE as u64;
        const MAC_ADMIN = 1 << Capability::MAC_ADMIN as u64;
        const SYSLOG = 1 << Capability::SYSLOG as u64;
        const WAKE_ALARM = 1 << Capability::WAKE_ALARM as u64;
        const BLOCK_SUSPEND = 1 << Capability::BLOCK_SUSPEND as u64;
        const AUDIT_READ = 1 << Capability::AUDIT_READ as u64;
        const PERFMON = 1 << Capability::PERFMON as u64;
        const BPF = 1 << Capability::BPF as u64;
        const CHECKPOINT_RESTORE = 1 << Capability::CHECKPOINT_RESTORE as u64;
    }
}

impl From<Capability> for Capabilities {
    fn from(cap: Capability) -> Capabilities {
        Capabilities::from_bits_retain(1 << cap as u64)
    }
}
