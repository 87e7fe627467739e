//! The settings, one per line.

use alloc::sync::Arc;
use core::sync::atomic::Ordering;

use super::ipc::IpcValue;
use super::{MAX_NUMBERS, Sysctl, Value, conf};
use crate::cred::{Capability, UCount};
use crate::error::Result;
use crate::fs::procfs::ProcCx;
use crate::fs::procfs::inode::Event;
use crate::fs::seq_file::SeqBuf;
use crate::ids::{Gid, Kgid};
use crate::ipc::mqueue::{HARD_MSGMAX, HARD_MSGSIZEMAX};
use crate::ipc::{IPCMNI, IpcLimits};
use crate::namespace::{MACHINE, Name, OVERFLOW_ID, RELEASE, SYSNAME, UtsNamespace, VERSION};
use crate::net::options::{MIN_RCVBUF, MIN_SNDBUF};
use crate::net::stack::conf::{ConfKey, ConfOf};
use crate::net::stack::{NetCore, NetSysctls};
use crate::seccomp::Action;
use crate::sync::WaitQueue;
use crate::sysctl::{Setting, Sysctls};
use crate::task::Task;
use crate::{bail, ensure, err};

const INT: i64 = i32::MAX as i64;
const LONG: i64 = i64::MAX;
/// Linux's `sysctl_nr_open_max`.
const MOST_DESCRIPTORS: i64 = INT & -64;

/// A number of the whole kernel.
const fn cell(path: &'static str, min: i64, max: i64, cell: fn(&Sysctls) -> &Setting) -> Sysctl {
    Sysctl {
        path,
        mode: 0o644,
        value: Value::Cell { cell, min, max },
    }
}

/// A number that is only read.
const fn fixed(path: &'static str, get: fn(&ProcCx<'_>) -> i64) -> Sysctl {
    Sysctl {
        path,
        mode: 0o444,
        value: Value::Number {
            get,
            set: |_, _| bail!(EPERM),
            min: 0,
            max: 0,
        },
    }
}

/// A number behind functions.
const fn number(
    path: &'static str,
    (min, max): (i64, i64),
    get: fn(&ProcCx<'_>) -> i64,
    set: fn(&ProcCx<'_>, i64) -> Result<()>,
) -> Sysctl {
    Sysctl {
        path,
        mode: 0o644,
        value: Value::Number { get, set, min, max },
    }
}

/// A text that is only read.
const fn constant(path: &'static str, get: fn(&ProcCx<'_>, &mut SeqBuf) -> Result<()>) -> Sysctl {
    Sysctl {
        path,
        mode: 0o444,
        value: Value::Text {
            get,
            set: |_, _| bail!(EPERM),
            max: 1,
            event: None,
        },
    }
}

/// A limit of the reader's user namespace.
const fn user(path: &'static str, kind: UCount) -> Sysctl {
    Sysctl {
        path,
        mode: 0o644,
        value: Value::UserLimit(kind),
    }
}

/// A number of the reader's network namespace.
const fn net(path: &'static str, min: i64, max: i64, cell: fn(&NetSysctls) -> &Setting) -> Sysctl {
    Sysctl {
        path,
        mode: 0o644,
        value: Value::Net { cell, min, max },
    }
}

/// A number of the whole kernel that the initial network namespace shows.
const fn net_core(path: &'static str, min: i64, cell: fn(&NetCore) -> &Setting) -> Sysctl {
    Sysctl {
        path,
        mode: 0o644,
        value: Value::NetCore { cell, min },
    }
}

/// Notes are added and never taken back (Linux's `proc_taint`); only the bits that have a meaning are.
fn set_tainted(cx: &ProcCx<'_>, value: i64) -> Result<()> {
    const FLAGS: i64 = (1 << 19) - 1;
    ensure!(
        cx.reader.cred().capable(Capability::SYS_ADMIN),
        EPERM,
        "tainted: no CAP_SYS_ADMIN"
    );
    let tainted = &cx.kernel.sysctl.tainted;
    tainted.set(tainted.get() | value & FLAGS);
    Ok(())
}

/// 1 is for ever (Linux's `bpf_unpriv_handler`).
fn set_unprivileged_bpf(cx: &ProcCx<'_>, value: i64) -> Result<()> {
    let setting = &cx.kernel.sysctl.unprivileged_bpf_disabled;
    ensure!(
        cx.reader.cred().capable(Capability::SYS_ADMIN) && (setting.get() != 1 || value == 1),
        EPERM,
        "kernel.unprivileged_bpf_disabled: no CAP_SYS_ADMIN, or it is 1"
    );
    setting.set(value);
    Ok(())
}

fn get_port_range(cx: &ProcCx<'_>, out: &mut [i64; MAX_NUMBERS]) -> usize {
    let nsproxy = cx.reader.nsproxy();
    let sysctl = &nsproxy.net_ns.stack().sysctl;
    out[..2].copy_from_slice(&[sysctl.local_port_low.get(), sysctl.local_port_high.get()]);
    2
}

fn set_port_range(cx: &ProcCx<'_>, values: &[i64]) -> Result<()> {
    let nsproxy = cx.reader.nsproxy();
    let sysctl = &nsproxy.net_ns.stack().sysctl;
    let &[low, high] = values else {
        bail!(EINVAL, "a low and a high port")
    };
    ensure!(
        (1..=65535).contains(&low) && (low..=65535).contains(&high),
        EINVAL,
        "a low and a high port"
    );
    sysctl.local_port_low.set(low);
    sysctl.local_port_high.set(high);
    Ok(())
}

fn get_ping_range(cx: &ProcCx<'_>, out: &mut [i64; MAX_NUMBERS]) -> usize {
    let nsproxy = cx.reader.nsproxy();
    let sysctl = &nsproxy.net_ns.stack().sysctl;
    let user_ns = cx.reader.user_ns();
    let show = |kgid: i64| user_ns.from_kgid_munged(Kgid(kgid as u32)).0 as i64;
    out[..2].copy_from_slice(&[
        show(sysctl.ping_group_low.get()),
        show(sysctl.ping_group_high.get()),
    ]);
    2
}

fn set_ping_range(cx: &ProcCx<'_>, values: &[i64]) -> Result<()> {
    let nsproxy = cx.reader.nsproxy();
    let sysctl = &nsproxy.net_ns.stack().sysctl;
    let user_ns = cx.reader.user_ns();
    let &[low, high] = values else {
        bail!(EINVAL, "a low and a high group")
    };
    let kgid = |gid: i64| {
        user_ns
            .make_kgid(Gid(gid as u32))
            .ok_or(err!(EINVAL, "the group is not mapped"))
    };
    let (low, high) = (kgid(low)?.0 as i64, kgid(high)?.0 as i64);
    // Nobody, where the range is empty.
    let (low, high) = if high < low { (1, 0) } else { (low, high) };
    sysctl.ping_group_low.set(low);
    sysctl.ping_group_high.set(high);
    Ok(())
}

/// A number of an IPC namespace.
const fn ipc(path: &'static str, min: i64, max: i64, cell: fn(&IpcLimits) -> &Setting) -> Sysctl {
    ipc_value(path, 0o644, IpcValue::Number { cell, min, max })
}

/// Another setting of an IPC namespace.
const fn ipc_value(path: &'static str, mode: u32, value: IpcValue) -> Sysctl {
    Sysctl {
        path,
        mode,
        value: Value::Ipc(value),
    }
}

/// Every setting; those of one directory stand together.
#[rustfmt::skip]
pub(in crate::fs::procfs) static SYSCTLS: &[Sysctl] = &[
    cell("sys/fs/aio-max-nr", 0, LONG, |s| &s.aio_max_nr),
    fixed("sys/fs/aio-nr", |cx| cx.kernel.aio.get() as i64),
    cell("sys/fs/dir-notify-enable", -INT - 1, INT, |s| &s.dir_notify_enable),
    cell("sys/fs/epoll/max_user_watches", 0, LONG, |s| &s.epoll_max_user_watches),
    number("sys/fs/file-max", (0, LONG), |cx| cx.kernel.vfs.files.max.get(),
        |cx, max| { cx.kernel.vfs.files.max.set(max); Ok(()) }),
    constant("sys/fs/file-nr", |cx, out| {
        let files = &cx.kernel.vfs.files;
        write!(out, "{}\t0\t{}", files.open(), files.max.get())
    }),
    cell("sys/fs/inotify/max_queued_events", 0, INT, |s| &s.inotify_max_queued_events),
    number("sys/fs/inotify/max_user_instances", (0, INT), |cx| cx.kernel.init_user_ns.ucount_limits().max(UCount::InotifyInstances),
        |cx, max| { cx.kernel.init_user_ns.ucount_limits().set_max(UCount::InotifyInstances, max); Ok(()) }),
    number("sys/fs/inotify/max_user_watches", (0, INT), |cx| cx.kernel.init_user_ns.ucount_limits().max(UCount::InotifyWatches),
        |cx, max| { cx.kernel.init_user_ns.ucount_limits().set_max(UCount::InotifyWatches, max); Ok(()) }),
    cell("sys/fs/mount-max", 1, INT, |s| &s.mount_max),
    ipc("sys/fs/mqueue/msg_default", 1, HARD_MSGMAX, |l| &l.mq_msg_default),
    ipc("sys/fs/mqueue/msg_max", 1, HARD_MSGMAX, |l| &l.mq_msg_max),
    ipc("sys/fs/mqueue/msgsize_default", 128, HARD_MSGSIZEMAX, |l| &l.mq_msgsize_default),
    ipc("sys/fs/mqueue/msgsize_max", 128, HARD_MSGSIZEMAX, |l| &l.mq_msgsize_max),
    ipc("sys/fs/mqueue/queues_max", i32::MIN as i64, INT, |l| &l.mq_queues_max),
    cell("sys/fs/nr_open", 64, MOST_DESCRIPTORS, |s| &s.nr_open),
    fixed("sys/fs/overflowgid", |_| OVERFLOW_ID as i64),
    fixed("sys/fs/overflowuid", |_| OVERFLOW_ID as i64),
    cell("sys/fs/pipe-max-size", 4096, INT, |s| &s.pipe_max_size),
    cell("sys/fs/pipe-user-pages-hard", 0, LONG, |s| &s.pipe_user_pages_hard),
    cell("sys/fs/pipe-user-pages-soft", 0, LONG, |s| &s.pipe_user_pages_soft),
    cell("sys/fs/protected_fifos", 0, 2, |s| &s.protected_fifos),
    cell("sys/fs/protected_hardlinks", 0, 1, |s| &s.protected_hardlinks),
    cell("sys/fs/protected_regular", 0, 2, |s| &s.protected_regular),
    cell("sys/fs/protected_symlinks", 0, 1, |s| &s.protected_symlinks),
    cell("sys/fs/suid_dumpable", 0, 2, |s| &s.suid_dumpable),
    ipc_value("sys/kernel/auto_msgmni", 0o644, IpcValue::AutoMsgmni),
    fixed("sys/kernel/cap_last_cap", |_| Capability::LAST as i64),
    constant("sys/kernel/arch", |_, out| write!(out, "{MACHINE}")),
    Sysctl { path: "sys/kernel/core_pattern", mode: 0o644, value: Value::Text {
        get: |cx, out| out.bytes(&cx.kernel.sysctl.core_pattern.lock()),
        set: set_core_pattern, max: 128, event: None } },
    cell("sys/kernel/ctrl-alt-del", -INT - 1, INT, |s| &s.ctrl_alt_del),
    cell("sys/kernel/dmesg_restrict", 0, 1, |s| &s.dmesg_restrict),
    Sysctl { path: "sys/kernel/domainname", mode: 0o644, value: Value::Text {
        get: |cx, out| out.bytes(uts(cx)?.names().domain.as_bytes()),
        set: |cx, name| { uts(cx)?.update(|names| names.domain = Name::new(name)); Ok(()) },
        max: 65, event: Some(uts_event) } },
    Sysctl { path: "sys/kernel/hostname", mode: 0o644, value: Value::Text {
        get: |cx, out| out.bytes(uts(cx)?.names().node.as_bytes()),
        set: |cx, name| { uts(cx)?.update(|names| names.node = Name::new(name)); Ok(()) },
        max: 65, event: Some(uts_event) } },
    cell("sys/kernel/keys/gc_delay", 0, INT, |s| &s.key_gc_delay),
    cell("sys/kernel/keys/maxbytes", 0, INT, |s| &s.key_maxbytes),
    cell("sys/kernel/keys/maxkeys", 0, INT, |s| &s.key_maxkeys),
    cell("sys/kernel/keys/persistent_keyring_expiry", 0, INT, |s| &s.key_persistent_expiry),
    cell("sys/kernel/keys/root_maxbytes", 0, INT, |s| &s.key_root_maxbytes),
    cell("sys/kernel/keys/root_maxkeys", 0, INT, |s| &s.key_root_maxkeys),
    ipc_value("sys/kernel/msg_next_id", 0o444, IpcValue::NextId(|c| c.msg.next_id())),
    ipc("sys/kernel/msgmax", 0, INT, |l| &l.msgmax),
    ipc("sys/kernel/msgmnb", 0, INT, |l| &l.msgmnb),
    ipc("sys/kernel/msgmni", 0, IPCMNI as i64, |l| &l.msgmni),
    fixed("sys/kernel/ngroups_max", |_| 65536),
    Sysctl { path: "sys/kernel/ns_last_pid", mode: 0o666, value: Value::Number {
        get: |cx| cx.reader.pid_ns().last_pid() as i64, set: set_ns_last_pid, min: 0, max: INT } },
    constant("sys/kernel/osrelease", |_, out| write!(out, "{RELEASE}")),
    constant("sys/kernel/ostype", |_, out| write!(out, "{SYSNAME}")),
    number("sys/kernel/overflowgid", (0, 65535), |cx| cx.kernel.namespaces.overflow_gid.load(Ordering::Relaxed) as i64,
        |cx, id| { cx.kernel.namespaces.overflow_gid.store(id as u32, Ordering::Relaxed); Ok(()) }),
    number("sys/kernel/overflowuid", (0, 65535), |cx| cx.kernel.namespaces.overflow_uid.load(Ordering::Relaxed) as i64,
        |cx, id| { cx.kernel.namespaces.overflow_uid.store(id as u32, Ordering::Relaxed); Ok(()) }),
    number("sys/kernel/pid_max", (301, 4 << 20), |cx| cx.kernel.tasks.pid_max() as i64,
        |cx, max| { cx.kernel.tasks.set_pid_max(max as i32); Ok(()) }),
    Sysctl { path: "sys/kernel/printk", mode: 0o644, value: Value::Numbers { get: get_printk, set: set_printk } },
    cell("sys/kernel/pty/max", 0, INT, |s| &s.pty_max),
    fixed("sys/kernel/pty/nr", |cx| cx.kernel.ttys.ptys.nr().into()),
    cell("sys/kernel/pty/reserve", 0, INT, |s| &s.pty_reserve),
    constant("sys/kernel/random/boot_id", boot_id),
    fixed("sys/kernel/random/entropy_avail", |_| 256),
    fixed("sys/kernel/random/poolsize", |_| 256),
    constant("sys/kernel/random/uuid", |cx, out| uuid(random(cx), out)),
    cell("sys/kernel/randomize_va_space", 0, 2, |s| &s.randomize_va_space),
    number("sys/kernel/sched_rr_timeslice_ms", (-INT - 1, INT), |cx| cx.kernel.sysctl.rt_bandwidth.timeslice_ms(),
        |cx, ms| { cx.kernel.sysctl.rt_bandwidth.set_timeslice_ms(ms); Ok(()) }),
    number("sys/kernel/sched_rt_period_us", (0, INT), |cx| cx.kernel.sysctl.rt_bandwidth.period(),
        |cx, us| cx.kernel.sysctl.rt_bandwidth.set_period(us)),
    number("sys/kernel/sched_rt_runtime_us", (-INT - 1, INT), |cx| cx.kernel.sysctl.rt_bandwidth.runtime(),
        |cx, us| cx.kernel.sysctl.rt_bandwidth.set_runtime(us)),
    constant("sys/kernel/seccomp/actions_avail", |_, out| seccomp_actions(-1, out)),
    Sysctl { path: "sys/kernel/seccomp/actions_logged", mode: 0o644, value: Value::Text {
        get: |cx, out| seccomp_actions(cx.kernel.sysctl.seccomp_actions_logged.get(), out),
        set: set_actions_logged, max: 64, event: None } },
    ipc_value("sys/kernel/sem", 0o644, IpcValue::Sem),
    ipc_value("sys/kernel/sem_next_id", 0o444, IpcValue::NextId(|c| c.sem.next_id())),
    ipc_value("sys/kernel/shm_next_id", 0o444, IpcValue::NextId(|c| c.shm.next_id())),
    ipc_value("sys/kernel/shm_rmid_forced", 0o644, IpcValue::RmidForced),
    ipc_value("sys/kernel/shmall", 0o644, IpcValue::Unsigned(|l| &l.shmall)),
    ipc_value("sys/kernel/shmmax", 0o644, IpcValue::Unsigned(|l| &l.shmmax)),
    ipc("sys/kernel/shmmni", 0, IPCMNI as i64, |l| &l.shmmni),
    number("sys/kernel/tainted", (0, LONG), |cx| cx.kernel.sysctl.tainted.get(), set_tainted),
    number("sys/kernel/threads-max", (20, 0x3fff_ffff), |cx| cx.kernel.tasks.threads_max() as i64,
        |cx, max| { cx.kernel.tasks.set_threads_max(max as usize); Ok(()) }),
    number("sys/kernel/unprivileged_bpf_disabled", (0, 2), |cx| cx.kernel.sysctl.unprivileged_bpf_disabled.get(), set_unprivileged_bpf),
    cell("sys/kernel/unprivileged_userns_clone", i32::MIN as i64, INT, |s| &s.unprivileged_userns_clone),
    constant("sys/kernel/version", |_, out| write!(out, "{VERSION}")),
    // A directory that is there even where nothing is in it.
    constant("sys/net/core/", |_, _| Ok(())),
    net_core("sys/net/core/optmem_max", 0, |c| &c.optmem_max),
    net_core("sys/net/core/rmem_default", MIN_RCVBUF as i64, |c| &c.rmem_default),
    net_core("sys/net/core/rmem_max", MIN_RCVBUF as i64, |c| &c.rmem_max),
    net_core("sys/net/core/wmem_default", MIN_SNDBUF as i64, |c| &c.wmem_default),
    net_core("sys/net/core/wmem_max", MIN_SNDBUF as i64, |c| &c.wmem_max),
    net("sys/net/core/somaxconn", 0, INT, |s| &s.somaxconn),
    // A directory that `conf` fills.
    constant("sys/net/ipv4/conf/", |_, _| Ok(())),
    net("sys/net/ipv4/icmp_echo_ignore_all", 0, 1, |s| &s.icmp_echo_ignore_all),
    net("sys/net/ipv4/icmp_echo_ignore_broadcasts", 0, 1, |s| &s.icmp_echo_ignore_broadcasts),
    net("sys/net/ipv4/igmp_max_memberships", -INT - 1, INT, |s| &s.igmp_max_memberships),
    net("sys/net/ipv4/igmp_max_msf", -INT - 1, INT, |s| &s.igmp_max_msf),
    net("sys/net/ipv4/ip_default_ttl", 1, 255, |s| &s.ip_default_ttl),
    number("sys/net/ipv4/ip_forward", (-INT - 1, INT),
        |cx| cx.reader.nsproxy().net_ns.stack().lock().conf(ConfOf::All).map_or(0, |conf| conf.get(ConfKey::Forwarding)) as i64,
        |cx, on| conf::set(cx.reader.nsproxy().net_ns.stack(), ConfOf::All, ConfKey::Forwarding, on as i32)),
    Sysctl { path: "sys/net/ipv4/ip_local_port_range", mode: 0o644, value: Value::Numbers {
        get: get_port_range, set: set_port_range } },
    net("sys/net/ipv4/ip_unprivileged_port_start", 0, 65535, |s| &s.ip_unprivileged_port_start),
    net("sys/net/ipv4/ipfrag_time", 0, INT / 1000, |s| &s.ipfrag_time),
    Sysctl { path: "sys/net/ipv4/ping_group_range", mode: 0o644, value: Value::Numbers {
        get: get_ping_range, set: set_ping_range } },
    net("sys/net/ipv4/tcp_fin_timeout", -INT / 1000, INT / 1000, |s| &s.tcp_fin_timeout),
    net("sys/net/ipv4/tcp_keepalive_intvl", 1, 32767, |s| &s.tcp_keepalive_intvl),
    net("sys/net/ipv4/tcp_keepalive_probes", 1, 127, |s| &s.tcp_keepalive_probes),
    net("sys/net/ipv4/tcp_keepalive_time", 1, 32767, |s| &s.tcp_keepalive_time),
    net("sys/net/ipv4/tcp_max_tw_buckets", -INT - 1, INT, |s| &s.tcp_max_tw_buckets),
    net("sys/net/ipv4/tcp_syn_retries", 1, 127, |s| &s.tcp_syn_retries),
    net("sys/net/ipv6/bindv6only", 0, 1, |s| &s.bindv6only),
    constant("sys/net/ipv6/conf/", |_, _| Ok(())),
    net("sys/net/ipv6/ip6frag_time", 0, INT / 1000, |s| &s.ip6frag_time),
    net_core("sys/net/ipv6/mld_max_msf", -INT - 1, |c| &c.mld_max_msf),
    net("sys/net/unix/max_dgram_qlen", -INT - 1, INT, |s| &s.max_dgram_qlen),
    user("sys/user/max_cgroup_namespaces", UCount::CgroupNamespaces),
    user("sys/user/max_inotify_instances", UCount::InotifyInstances),
    user("sys/user/max_inotify_watches", UCount::InotifyWatches),
    user("sys/user/max_ipc_namespaces", UCount::IpcNamespaces),
    user("sys/user/max_mnt_namespaces", UCount::MntNamespaces),
    user("sys/user/max_net_namespaces", UCount::NetNamespaces),
    user("sys/user/max_pid_namespaces", UCount::PidNamespaces),
    user("sys/user/max_time_namespaces", UCount::TimeNamespaces),
    user("sys/user/max_user_namespaces", UCount::UserNamespaces),
    user("sys/user/max_uts_namespaces", UCount::UtsNamespaces),
    cell("sys/vm/admin_reserve_kbytes", 0, LONG, |s| &s.admin_reserve_kbytes),
    Sysctl { path: "sys/vm/drop_caches", mode: 0o200, value: Value::Number {
        get: |_| 0, set: drop_caches, min: 1, max: 4 } },
    cell("sys/vm/max_map_count", 0, INT, |s| &s.max_map_count),
    cell("sys/vm/mmap_min_addr", 0, LONG, |s| &s.mmap_min_addr),
    cell("sys/vm/oom_kill_allocating_task", -INT - 1, INT, |s| &s.oom_kill_allocating_task),
    cell("sys/vm/overcommit_kbytes", 0, LONG, |s| &s.overcommit_kbytes),
    cell("sys/vm/overcommit_memory", 0, 2, |s| &s.overcommit_memory),
    cell("sys/vm/overcommit_ratio", 0, INT, |s| &s.overcommit_ratio),
    cell("sys/vm/panic_on_oom", 0, 2, |s| &s.panic_on_oom),
];

/// Bit 0 for pages, bit 1 for names and inodes; bit 2: say nothing about it.
fn drop_caches(cx: &ProcCx<'_>, what: i64) -> Result<()> {
    if what & 2 != 0 {
        cx.kernel.vfs.drop_caches();
    }
    if what & 4 == 0 {
        let (comm, pid) = (cx.reader.comm(), cx.reader.pid().global_nr());
        let comm = comm.split(|byte| *byte == 0).next().unwrap_or_default();
        log::info!("{} ({pid}): drop_caches: {what}", comm.escape_ascii());
    }
    Ok(())
}

fn set_core_pattern(cx: &ProcCx<'_>, value: &[u8]) -> Result<()> {
    ensure!(
        value.first() != Some(&b'|'),
        EINVAL,
        "core_pattern: no helper programs are run"
    );
    let old = core::mem::replace(&mut *cx.kernel.sysctl.core_pattern.lock(), value.to_vec());
    drop(old);
    Ok(())
}

/// The names of the actions whose bits are set.
fn seccomp_actions(bits: i64, out: &mut SeqBuf) -> Result<()> {
    let chosen = Action::ALL
        .iter()
        .filter(|(action, _)| bits & action.log_bit() != 0);
    for (n, (_, name)) in chosen.enumerate() {
        if n > 0 {
            out.byte(b' ')?;
        }
        out.bytes(name.as_bytes())?;
    }
    Ok(())
}

fn set_actions_logged(cx: &ProcCx<'_>, value: &[u8]) -> Result<()> {
    ensure!(
        cx.reader.cred().capable(Capability::SYS_ADMIN),
        EPERM,
        "actions_logged: no CAP_SYS_ADMIN"
    );
    let mut bits = 0;
    for name in value.split(|byte| *byte == b' ').filter(|name| !name.is_empty()) {
        let known = Action::ALL.iter().find(|(_, known)| known.as_bytes() == name);
        match known {
            Some((action, _)) if *action != Action::Allow => bits |= action.log_bit(),
            _ => bail!(EINVAL, "actions_logged: not an action that can be logged"),
        }
    }
    cx.kernel.sysctl.seccomp_actions_logged.set(bits);
    Ok(())
}

fn uts(cx: &ProcCx<'_>) -> Result<Arc<UtsNamespace>> {
    Ok(cx.reader.try_nsproxy().ok_or(err!(ESRCH))?.uts_ns.clone())
}

fn uts_event(task: &Arc<Task>) -> Option<Arc<dyn Event>> {
    Some(task.try_nsproxy()?.uts_ns.clone())
}

impl Event for UtsNamespace {
    fn queue(&self) -> &WaitQueue {
        &self.changed
    }
    fn count(&self) -> u64 {
        self.generation()
    }
}

/// The next pid that is tried is the one after it (for checkpoint and restore).
fn set_ns_last_pid(cx: &ProcCx<'_>, last: i64) -> Result<()> {
    let ns = cx.reader.pid_ns();
    let cred = cx.reader.cred();
    ensure!(
        cred.ns_capable(ns.user_ns(), Capability::CHECKPOINT_RESTORE)
            || cred.ns_capable(ns.user_ns(), Capability::SYS_ADMIN),
        EPERM,
        "ns_last_pid: no CAP_CHECKPOINT_RESTORE in the owner of the pid namespace"
    );
    ensure!(
        last < cx.kernel.tasks.pid_max() as i64,
        EINVAL,
        "ns_last_pid: beyond pid_max"
    );
    ns.set_last_pid(last as i32);
    Ok(())
}

/// Level of the console; that of messages without one; lowest the console may be set to; the console's default.
fn get_printk(cx: &ProcCx<'_>, out: &mut [i64; MAX_NUMBERS]) -> usize {
    *out = [cx.kernel.log.console_level() as i64, 4, 1, 7];
    MAX_NUMBERS
}

fn set_printk(cx: &ProcCx<'_>, values: &[i64]) -> Result<()> {
    ensure!(
        values
            .iter()
            .skip(1)
            .zip([4, 1, 7])
            .all(|(value, fixed)| *value == fixed),
        EINVAL,
        "printk: only the console's level can be changed"
    );
    ensure!((0..=8).contains(&values[0]), EINVAL, "printk: levels are 0 to 8");
    cx.kernel.log.set_console_level(values[0] as u8);
    Ok(())
}

fn random(cx: &ProcCx<'_>) -> [u8; 16] {
    let mut bytes = [0; 16];
    cx.kernel.rng.fill(&mut bytes);
    bytes
}

fn boot_id(cx: &ProcCx<'_>, out: &mut SeqBuf) -> Result<()> {
    uuid(*cx.kernel.sysctl.boot_id.call_once(|| random(cx)), out)
}

/// A random UUID of version 4.
fn uuid(mut bytes: [u8; 16], out: &mut SeqBuf) -> Result<()> {
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    for (n, byte) in bytes.iter().enumerate() {
        if matches!(n, 4 | 6 | 8 | 10) {
            out.byte(b'-')?;
        }
        write!(out, "{byte:02x}")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fs::procfs::inode::Entry;
    use crate::fs::pseudo::{self, Found};

    #[test]
    fn uuids_have_the_form() {
        let mut out = SeqBuf::new();
        uuid([0xff; 16], &mut out).unwrap();
        assert_eq!(out.as_bytes(), b"ffffffff-ffff-4fff-bfff-ffffffffffff");
    }

    #[test]
    fn every_setting_is_found_where_it_is_listed() {
        let table = || SYSCTLS.iter().map(Entry::Sysctl);
        for sysctl in SYSCTLS {
            if let Some(dir) = sysctl.path.strip_suffix('/') {
                let (above, name) = dir.rsplit_once('/').unwrap();
                let found = pseudo::find(table(), above, name.as_bytes());
                assert!(matches!(found, Some(Found::Dir(_))), "{dir}");
                continue;
            }
            let (dir, name) = sysctl.path.rsplit_once('/').unwrap();
            let found = pseudo::find(table(), dir, name.as_bytes());
            assert!(matches!(found, Some(Found::Leaf(_))), "{}", sysctl.path);
            let listed = pseudo::children(table(), dir)
                .filter(|(child, _)| *child == name)
                .count();
            assert_eq!(listed, 1, "{}", sysctl.path);
        }
    }
}
