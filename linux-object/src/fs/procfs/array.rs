//! `/proc/PID/{stat,status,statm}` (`fs/proc/array.c`).

use super::base::PidCx;
use crate::cred::{Capabilities, UCountRlimit, UCounts};
use crate::error::Result;
use crate::fs::seq_file::SeqBuf;
use crate::futex::pi::PiTask;
use crate::ids::{PAGE_SIZE, PidNr};
use crate::mm::Mm;
use crate::sched::CpuMask;
use crate::task::{ExitState, Resource, SignalSet, Task, TaskState};

/// Nanoseconds in a clock tick of user space.
const TICK: u64 = 10_000_000;

/// Letter and name of a state. What has been announced as a zombie is one, even while its last
/// steps still run.
fn state(task: &Task) -> &'static str {
    if task.is_leader() && task.group().exit_state() != ExitState::Alive || task.has_exited() {
        return "Z (zombie)";
    }
    match task.sched.state() {
        TaskState::Running => "R (running)",
        TaskState::Interruptible => "S (sleeping)",
        TaskState::Killable => "D (disk sleep)",
        TaskState::Stopped => "T (stopped)",
        TaskState::Traced => "t (tracing stop)",
        TaskState::Zombie | TaskState::Dead => "Z (zombie)",
    }
}

/// The name without its padding.
pub(super) fn comm(task: &Task) -> ([u8; 16], usize) {
    let comm = task.comm();
    let len = comm.iter().position(|&byte| byte == 0).unwrap_or(comm.len());
    (comm, len)
}

/// Bytes of address space in KiB, by what is in it.
#[derive(Clone, Copy, Default)]
pub(super) struct MemoryFigures {
    pub peak: u64,
    pub size: u64,
    pub locked: u64,
    pub high_water: u64,
    pub rss_anon: u64,
    pub rss_file: u64,
    pub rss_shmem: u64,
    pub data: u64,
    pub stack: u64,
    pub text: u64,
    pub library: u64,
    pub page_tables: u64,
}

impl MemoryFigures {
    pub fn of(mm: &Mm) -> MemoryFigures {
        const KIB: u64 = PAGE_SIZE as u64 / 1024;
        let (counts, layout) = (mm.counts(), mm.layout());
        let page = PAGE_SIZE as u64;
        let text = (layout.end_code.next_multiple_of(page) - layout.start_code / page * page)
            .min(counts.exec * page)
            / 1024;
        MemoryFigures {
            peak: counts.total_peak.max(counts.total) * KIB,
            size: counts.total * KIB,
            locked: counts.locked * KIB,
            high_water: mm.rss_peak() * KIB,
            rss_anon: mm.rss_anon() * KIB,
            rss_file: mm.rss_file() * KIB,
            rss_shmem: 0,
            data: counts.data * KIB,
            stack: counts.stack * KIB,
            text,
            library: (counts.exec * KIB).saturating_sub(text),
            page_tables: mm.page_table_bytes() / 1024,
        }
    }
    fn rss(&self) -> u64 {
        self.rss_anon + self.rss_file + self.rss_shmem
    }
    /// The `Vm*` lines of `status`.
    pub fn show_status(&self, out: &mut SeqBuf) -> Result<()> {
        let lines = [
            ("VmPeak", self.peak),
            ("VmSize", self.size),
            ("VmLck", self.locked),
            ("VmPin", 0),
            ("VmHWM", self.high_water),
            ("VmRSS", self.rss()),
            ("RssAnon", self.rss_anon),
            ("RssFile", self.rss_file),
            ("RssShmem", self.rss_shmem),
            ("VmData", self.data),
            ("VmStk", self.stack),
            ("VmExe", self.text),
            ("VmLib", self.library),
            ("VmPTE", self.page_tables),
            ("VmSwap", 0),
            ("HugetlbPages", 0),
        ];
        lines
            .iter()
            .try_for_each(|(name, kib)| writeln!(out, "{name}:\t{kib:8} kB"))
    }
    /// The line of `statm`, in pages.
    pub fn show_statm(&self, out: &mut SeqBuf) -> Result<()> {
        let pages = |kib: u64| kib * 1024 / PAGE_SIZE as u64;
        writeln!(
            out,
            "{} {} {} {} 0 {} 0",
            pages(self.size),
            pages(self.rss()),
            pages(self.rss_file + self.rss_shmem),
            pages(self.text),
            pages(self.data + self.stack)
        )
    }
}

/// `/proc/PID/statm`.
pub(super) fn statm(cx: &PidCx<'_>, out: &mut SeqBuf) -> Result<()> {
    let figures = cx
        .task
        .try_mm()
        .map(|mm| MemoryFigures::of(&mm))
        .unwrap_or_default();
    figures.show_statm(out)
}

/// `/proc/PID/status`.
pub(super) fn status(cx: &PidCx<'_>, out: &mut SeqBuf) -> Result<()> {
    let (task, group) = (cx.task, cx.task.group());
    let (name, len) = comm(task);
    out.bytes(b"Name:\t")?;
    out.escaped(&name[..len], b"\n\\")?;
    out.byte(b'\n')?;
    ids(cx, out)?;
    let mm = task.try_mm();
    if let Some(mm) = &mm {
        MemoryFigures::of(mm).show_status(out)?;
        writeln!(out, "CoreDumping:\t0\nTHP_enabled:\t0")?;
    }
    writeln!(out, "Threads:\t{}", group.nr_threads())?;
    signals(cx, out)?;
    let cred = task.cred();
    let sets = [
        ("CapInh", cred.cap_inheritable),
        ("CapPrm", cred.cap_permitted),
        ("CapEff", cred.cap_effective),
        ("CapBnd", cred.cap_bounding),
        ("CapAmb", cred.cap_ambient),
    ];
    for (name, caps) in sets {
        writeln!(out, "{name}:\t{:016x}", (caps & Capabilities::all()).bits())?;
    }
    let no_new_privs = task.no_new_privs.load(core::sync::atomic::Ordering::Relaxed);
    writeln!(out, "NoNewPrivs:\t{}", no_new_privs as u32)?;
    writeln!(out, "Seccomp:\t{}", task.seccomp.mode() as u8)?;
    writeln!(out, "Seccomp_filters:\t{}", task.seccomp.filter_count())?;
    writeln!(
        out,
        "Speculation_Store_Bypass:\tunknown\nSpeculationIndirectBranch:\tunknown"
    )?;
    let all = cx.kernel.sched.cpu_mask();
    let cpus = task.sched.affinity().and(all);
    out.bytes(b"Cpus_allowed:\t")?;
    mask_hex(out, cpus, all.count())?;
    out.bytes(b"\nCpus_allowed_list:\t")?;
    mask_list(out, cpus)?;
    writeln!(out, "\nMems_allowed:\t1\nMems_allowed_list:\t0")?;
    let usage = task.acct.read();
    writeln!(out, "voluntary_ctxt_switches:\t{}", usage.nvcsw)?;
    writeln!(out, "nonvoluntary_ctxt_switches:\t{}", usage.nivcsw)
}

/// Umask to `NSsid`.
fn ids(cx: &PidCx<'_>, out: &mut SeqBuf) -> Result<()> {
    let (task, group) = (cx.task, cx.task.group());
    let (fs, files) = {
        let parts = task.parts.lock();
        (parts.fs.clone(), parts.files.clone())
    };
    if let Some(fs) = fs {
        match fs.umask() {
            0 => writeln!(out, "Umask:\t0000")?,
            umask => writeln!(out, "Umask:\t{umask:04o}")?,
        }
    }
    writeln!(out, "State:\t{}", state(task))?;
    writeln!(out, "Tgid:\t{}", group.tgid.nr_in(cx.pid_ns))?;
    writeln!(out, "Ngid:\t0")?;
    writeln!(out, "Pid:\t{}", task.pid().nr_in(cx.pid_ns))?;
    writeln!(out, "PPid:\t{}", parent_nr(cx))?;
    let tracer = task
        .tracer()
        .map_or(PidNr(0), |tracer| tracer.pid().nr_in(cx.pid_ns));
    writeln!(out, "TracerPid:\t{tracer}")?;
    let cred = task.cred();
    let user_ns = &cx.cred.user_ns;
    out.bytes(b"Uid:")?;
    for uid in [cred.uid, cred.euid, cred.suid, cred.fsuid] {
        write!(out, "\t{}", user_ns.from_kuid_munged(uid))?;
    }
    out.bytes(b"\nGid:")?;
    for gid in [cred.gid, cred.egid, cred.sgid, cred.fsgid] {
        write!(out, "\t{}", user_ns.from_kgid_munged(gid))?;
    }
    writeln!(out, "\nFDSize:\t{}", files.map_or(0, |files| files.size()))?;
    out.bytes(b"Groups:\t")?;
    for (n, gid) in cred.groups.iter().enumerate() {
        if n > 0 {
            out.byte(b' ')?;
        }
        write!(out, "{}", user_ns.from_kgid_munged(*gid))?;
    }
    // The blank at the end has always been there.
    out.byte(b' ')?;
    let pids = [
        ("NStgid", group.tgid.clone()),
        ("NSpid", task.pid().clone()),
        ("NSpgid", group.pgrp()),
        ("NSsid", group.session().sid().clone()),
    ];
    for (name, pid) in pids {
        write!(out, "\n{name}:")?;
        // As many as the task has levels; 0 where its group or session is not visible.
        let own = task.pid();
        for level in cx.pid_ns.level() as usize..own.numbers().len() {
            let visible = pid.ns().is_ancestor_of(own.ns());
            let nr = pid.numbers().get(level).filter(|_| visible);
            write!(out, "\t{}", nr.copied().unwrap_or(PidNr(0)))?;
        }
    }
    out.byte(b'\n')
}

fn parent_nr(cx: &PidCx<'_>) -> PidNr {
    match cx.task.group().parent() {
        Some(parent) => parent.tgid.nr_in(cx.pid_ns),
        None => PidNr(0),
    }
}

/// `SigQ` to `SigCgt`.
fn signals(cx: &PidCx<'_>, out: &mut SeqBuf) -> Result<()> {
    let (task, group) = (cx.task, cx.task.group());
    let (ignored, caught) = group.sighand().ignored_and_caught();
    let cred = task.cred();
    let queued = UCounts::of(&cred.user_ns, cred.uid).rlimit_count(UCountRlimit::SigPending);
    let limit = group.rlimit(Resource::SIGPENDING).cur;
    writeln!(out, "SigQ:\t{queued}/{limit}")?;
    let sets = [
        ("SigPnd", task.sig.pending()),
        ("ShdPnd", group.shared_pending()),
        ("SigBlk", task.sig.blocked()),
        ("SigIgn", ignored),
        ("SigCgt", caught),
    ];
    sets.iter()
        .try_for_each(|(name, SignalSet(bits))| writeln!(out, "{name}:\t{bits:016x}"))
}

/// A CPU set in hexadecimal words of 32 bits (`%*pb`).
pub(super) fn mask_hex(out: &mut SeqBuf, mask: CpuMask, cpus: usize) -> Result<()> {
    let words = cpus.div_ceil(32).max(1);
    let top_digits = ((cpus - 1) % 32 + 1).div_ceil(4);
    for n in (0..words).rev() {
        let word = (mask.0 >> (n * 32)) as u32;
        if n == words - 1 {
            write!(out, "{word:0top_digits$x}")?;
        } else {
            write!(out, ",{word:08x}")?;
        }
    }
    Ok(())
}

/// A CPU set as ranges (`%*pbl`).
pub(crate) fn mask_list(out: &mut SeqBuf, mask: CpuMask) -> Result<()> {
    let mut first = true;
    let mut cpu = 0;
    while cpu < 64 {
        if mask.0 >> cpu & 1 == 0 {
            cpu += 1;
            continue;
        }
        let start = cpu;
        while cpu < 64 && mask.0 >> cpu & 1 != 0 {
            cpu += 1;
        }
        if !core::mem::take(&mut first) {
            out.byte(b',')?;
        }
        match cpu - start {
            1 => write!(out, "{start}")?,
            _ => write!(out, "{start}-{}", cpu - 1)?,
        }
    }
    Ok(())
}

/// The priority as Linux counts, with what it inherits from those who wait for its futexes.
pub(super) fn shown_prio(cx: &PidCx<'_>) -> u8 {
    if cx.task.pi.is_member() {
        return cx.kernel.pi_futexes.lock().prio(cx.task);
    }
    cx.task.normal_prio()
}

/// `/proc/PID/stat`, field by field as `proc_pid_stat(5)` numbers them.
pub(super) fn stat(cx: &PidCx<'_>, out: &mut SeqBuf) -> Result<()> {
    let (task, group) = (cx.task, cx.task.group());
    let permitted = cx.may_look();
    let mm = task.try_mm();
    let layout = mm.as_ref().map(|mm| mm.layout());
    let shown = layout.filter(|_| permitted).unwrap_or_default();
    let session = group.session();
    let (tty_nr, tpgid) = match session.tty() {
        Some(tty) => {
            let foreground = tty.foreground_pgrp().map_or(-1, |pgrp| pgrp.nr_in(cx.pid_ns).0);
            (tty.dev().0 as u32 as i32, foreground)
        }
        None => (0, -1),
    };
    let usage = if cx.thread {
        task.acct.read()
    } else {
        group.usage()
    };
    let times = if cx.thread {
        cx.kernel.sched.cpu_times(task)
    } else {
        cx.kernel.sched.group_cpu_times(task)
    };
    let children = group.dead_children.read();
    let params = task.sched.params();
    let priority = i64::from(shown_prio(cx)) - 100;
    let figures = mm.as_ref().map(|mm| MemoryFigures::of(mm)).unwrap_or_default();
    let (ignored, caught) = group.sighand().ignored_and_caught();
    let did_exec = group.did_exec.load(core::sync::atomic::Ordering::Relaxed);
    let flags = 0x40_0000 | if did_exec { 0 } else { 0x40 } | if task.is_exiting() { 4 } else { 0 };
    let low = |set: SignalSet| set.0 & 0x7fff_ffff;
    let (name, len) = comm(task);

    write!(out, "{} (", task.pid().nr_in(cx.pid_ns))?;
    out.bytes(&name[..len])?;
    write!(out, ") {}", &state(task)[..1])?;
    write!(out, " {} {}", parent_nr(cx), group.pgrp().nr_in(cx.pid_ns))?;
    write!(
        out,
        " {} {tty_nr} {tpgid} {flags}",
        session.sid().nr_in(cx.pid_ns)
    )?;
    write!(
        out,
        " {} {}",
        usage.min_flt,
        if cx.thread { 0 } else { children.min_flt }
    )?;
    write!(
        out,
        " {} {}",
        usage.maj_flt,
        if cx.thread { 0 } else { children.maj_flt }
    )?;
    write!(out, " {} {}", times.user / TICK, times.system / TICK)?;
    let (cutime, cstime) = if cx.thread {
        (0, 0)
    } else {
        (children.utime / TICK, children.stime / TICK)
    };
    write!(out, " {cutime} {cstime} {priority} {}", params.nice)?;
    let offset = super::boottime_offset(cx.reader);
    let start = task.start_time.0.saturating_add_signed(offset) / TICK;
    write!(
        out,
        " {} 0 {start}",
        if cx.thread { 0 } else { group.nr_threads() }
    )?;
    let rss_limit = group.rlimit(Resource::RSS).cur;
    write!(
        out,
        " {} {} {rss_limit}",
        figures.size * 1024,
        figures.rss() * 1024 / PAGE_SIZE as u64
    )?;
    let (start_code, end_code) = match layout {
        Some(_) if !permitted => (1, 1),
        _ => (shown.start_code, shown.end_code),
    };
    write!(out, " {start_code} {end_code} {} 0 0", shown.start_stack)?;
    write!(out, " {} {}", low(task.sig.pending()), low(task.sig.blocked()))?;
    write!(out, " {} {}", low(ignored), low(caught))?;
    let waits = permitted && task.sched.state() != TaskState::Running;
    let exit_signal = group.exit_signal().map_or(0, |signal| signal.nr() as i32);
    let exit_signal = if task.is_leader() { exit_signal } else { -1 };
    write!(out, " {} 0 0 {exit_signal} {}", waits as u32, task.sched.cpu())?;
    write!(out, " {} {} 0 0 0", params.rt_priority, params.policy as u32)?;
    write!(
        out,
        " {} {} {}",
        shown.start_data, shown.end_data, shown.start_brk
    )?;
    write!(
        out,
        " {} {} {} {}",
        shown.arg_start, shown.arg_end, shown.env_start, shown.env_end
    )?;
    let exit_code = match permitted {
        true if task.is_leader() => group.exit_code(),
        true => task.exit_code.load(core::sync::atomic::Ordering::Relaxed),
        false => 0,
    };
    writeln!(out, " {exit_code}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::String;

    fn text(f: impl FnOnce(&mut SeqBuf) -> Result<()>) -> String {
        let mut out = SeqBuf::new();
        f(&mut out).unwrap();
        String::from_utf8(out.into_bytes()).unwrap()
    }

    #[test]
    fn memory_figures_as_ps_and_top_read_them() {
        let figures = MemoryFigures {
            peak: 3060,
            size: 3060,
            rss_anon: 112,
            rss_file: 1628,
            high_water: 1740,
            data: 360,
            stack: 132,
            text: 20,
            library: 1528,
            page_tables: 44,
            ..MemoryFigures::default()
        };
        let status = text(|out| figures.show_status(out));
        assert!(
            status.starts_with("VmPeak:\t    3060 kB\nVmSize:\t    3060 kB\nVmLck:\t       0 kB\nVmPin:")
        );
        assert!(status.contains("\nVmRSS:\t    1740 kB\nRssAnon:\t     112 kB\nRssFile:\t    1628 kB\n"));
        assert_eq!(text(|out| figures.show_statm(out)), "765 435 407 5 0 123 0\n");
    }

    #[test]
    fn cpu_sets() {
        let hex = |mask, cpus| text(|out| mask_hex(out, CpuMask(mask), cpus));
        assert_eq!(hex(3, 2), "3");
        assert_eq!(hex(1, 8), "01");
        assert_eq!(hex(1 << 32 | 5, 33), "1,00000005");
        let list = |mask| text(|out| mask_list(out, CpuMask(mask)));
        assert_eq!(list(0b1), "0");
        assert_eq!(list(0b1101_0111), "0-2,4,6-7");
        assert_eq!(list(0), "");
        assert_eq!(list(u64::MAX), "0-63");
    }
}
