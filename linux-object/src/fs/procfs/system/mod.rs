//! Files about the whole kernel.

mod format;
mod interrupts;
mod locks;

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::Ordering;

use super::{ProcCx, Show};
use crate::cgroup::view::MemoryView;
use crate::error::Result;
use crate::fs::seq_file::SeqBuf;
use crate::fs::{DevT, FileOps, FileType, OpenFlags};
use crate::ids::CpuId;
use crate::ipc;
use crate::namespace::{RELEASE, SYSNAME, VERSION};
use crate::task::Task;

/// A line of the table.
pub(super) struct StaticFile {
    pub path: &'static str,
    pub mode: u32,
    pub kind: StaticKind,
}

/// What a line is.
pub(super) enum StaticKind {
    Text(Show),
    Link(&'static str),
    /// A file with its own behaviour.
    Ops(fn(&Arc<Task>, OpenFlags) -> Result<Arc<dyn FileOps>>),
}

impl StaticFile {
    pub fn file_type(&self) -> FileType {
        match self.kind {
            StaticKind::Link(_) => FileType::Symlink,
            _ => FileType::Regular,
        }
    }
}

const fn text(path: &'static str, show: Show) -> StaticFile {
    StaticFile {
        path,
        mode: 0o444,
        kind: StaticKind::Text(show),
    }
}
const fn link(path: &'static str, target: &'static str) -> StaticFile {
    StaticFile {
        path,
        mode: 0o777,
        kind: StaticKind::Link(target),
    }
}

/// Every file but `/proc/sys` and the tasks. A path ending in `/` is an empty directory.
pub(super) static FILES: &[StaticFile] = &[
    text("cgroups", |cx, out| {
        crate::cgroup::proc::controllers(cx.kernel, out)
    }),
    text("cmdline", cmdline),
    text("consoles", consoles),
    text("cpuinfo", cpuinfo),
    text("devices", devices),
    text("diskstats", |_, _| Ok(())),
    // One, of Linux itself.
    text("execdomains", |_, out| {
        writeln!(out, "0-0\tLinux           \t[kernel]")
    }),
    text("filesystems", filesystems),
    text("interrupts", interrupts::show),
    text("key-users", |cx, out| {
        crate::keys::show_users(&cx.kernel.keys, cx.reader, out)
    }),
    text("keys", |cx, out| {
        crate::keys::show_keys(&cx.kernel.keys, cx.reader, out)
    }),
    StaticFile {
        path: "kmsg",
        mode: 0o400,
        kind: StaticKind::Ops(super::kmsg::open),
    },
    text("loadavg", loadavg),
    text("locks", locks::show),
    text("meminfo", meminfo),
    // Nothing can be loaded.
    text("modules", |_, _| Ok(())),
    link("mounts", "self/mounts"),
    link("net", "self/net"),
    text("partitions", |_, _| Ok(())),
    text("stat", stat),
    text("swaps", |_, out| {
        writeln!(out, "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority")
    }),
    text("sysvipc/msg", |cx, out| {
        ipc::show_msg(cx.ipc_ns()?.content(), cx.reader, out)
    }),
    text("sysvipc/sem", |cx, out| {
        ipc::show_sem(cx.ipc_ns()?.content(), cx.reader, out)
    }),
    text("sysvipc/shm", |cx, out| {
        ipc::show_shm(cx.ipc_ns()?.content(), cx.reader, out)
    }),
    text("tty/drivers", tty_drivers),
    text("uptime", uptime),
    text("version", version),
    text("vmstat", vmstat),
];

fn cmdline(cx: &ProcCx<'_>, out: &mut SeqBuf) -> Result<()> {
    writeln!(out, "{}", cx.kernel.cmdline.text())
}

/// As `fs/proc/version.c`, with the compiler's place taken by what built this.
fn version(_cx: &ProcCx<'_>, out: &mut SeqBuf) -> Result<()> {
    writeln!(out, "{SYSNAME} version {RELEASE} (zcell@zcell) (rustc) {VERSION}")
}

fn cpus(cx: &ProcCx<'_>) -> impl Iterator<Item = CpuId> + use<> {
    let all = cx.kernel.sched.cpu_mask();
    cx.view().map_or(all, |view| view.cpus()).iter()
}

/// Time since boot as the reader's time namespace counts it, and idle time.
fn uptime(cx: &ProcCx<'_>, out: &mut SeqBuf) -> Result<()> {
    if let Some(view) = cx.view()
        && let Some(times) = view.cpu_times()
    {
        return format::uptime(out, view.uptime(), times.map(|cpu| cpu.idle).sum());
    }
    let offset = super::boottime_offset(cx.reader);
    let up = cx.kernel.time.now().as_nanos().saturating_add_signed(offset);
    let idle = cpus(cx).map(|cpu| cx.kernel.sched.idle_time(cpu)).sum();
    format::uptime(out, up, idle)
}

fn loadavg(cx: &ProcCx<'_>, out: &mut SeqBuf) -> Result<()> {
    let sched = &cx.kernel.sched;
    let (loads, running, threads) = cx.view().and_then(|view| view.load()).unwrap_or_else(|| {
        let threads = cx.kernel.tasks.nr_threads();
        (sched.loadavg(), sched.nr_running(), threads)
    });
    let last_pid = cx.reader.pid_ns().last_pid();
    format::loadavg(out, loads, running as usize, threads, last_pid)
}

fn stat(cx: &ProcCx<'_>, out: &mut SeqBuf) -> Result<()> {
    let sched = &cx.kernel.sched;
    let up = cx.kernel.time.now().as_nanos();
    let machine = || {
        cpus(cx).map(|cpu| {
            let idle = sched.idle_time(cpu);
            let (user, nice) = sched.user_time(cpu);
            format::CpuTimes {
                user,
                nice,
                system: up.saturating_sub(idle + user + nice),
                idle,
            }
        })
    };
    let view = cx.view();
    let contained = view.as_ref().and_then(|view| Some((view, view.cpu_times()?)));
    let (times, up): (Vec<_>, i64) = match contained {
        Some((view, times)) => (times.map(format::CpuTimes::from).collect(), view.uptime() as i64),
        None => (machine().collect(), up as i64 + super::boottime_offset(cx.reader)),
    };
    let running = view.and_then(|view| view.load()).map(|(_, running, _)| running);
    let boot_time = (cx.kernel.time.realtime() - up) / 1_000_000_000;
    let figures = format::Stat {
        interrupts: interrupts::total(cx),
        context_switches: sched.nr_switches(),
        boot_time: boot_time.max(0) as u64,
        forks: cx.kernel.tasks.total_forks(),
        running: running.unwrap_or_else(|| sched.nr_running()) as usize,
        blocked: 0,
    };
    format::stat(out, &times, &figures)
}

fn meminfo(cx: &ProcCx<'_>, out: &mut SeqBuf) -> Result<()> {
    let memory = &cx.kernel.memory;
    let pages = |counter: &core::sync::atomic::AtomicI64| counter.load(Ordering::Relaxed).max(0) as usize;
    let is = cx.view().and_then(|view| view.memory()).unwrap_or_else(|| {
        let frames = cx.kernel.hal.frame_stats();
        MemoryView {
            total: frames.total,
            free: frames.free,
            anon: memory.nr_anon.now() as usize,
            file: memory.nr_cache.now() as usize,
            mapped: pages(&memory.nr_mapped),
            slab: frames.heap,
            kernel_stack: frames.kernel_stacks,
            page_tables: frames.page_tables,
        }
    });
    let (cache, anon) = (is.file, is.anon);
    // Every file lives in memory only, as shmem: its pages cannot be dropped.
    let lines = [
        ("MemTotal", is.total),
        ("MemFree", is.free),
        ("MemAvailable", is.free),
        ("Buffers", 0),
        ("Cached", cache),
        ("SwapCached", 0),
        ("Active", 0),
        ("Inactive", anon + cache),
        ("Active(anon)", 0),
        ("Inactive(anon)", anon + cache),
        ("Active(file)", 0),
        ("Inactive(file)", 0),
        ("Unevictable", 0),
        ("Mlocked", 0),
        ("SwapTotal", 0),
        ("SwapFree", 0),
        ("Dirty", 0),
        ("Writeback", 0),
        ("AnonPages", anon),
        ("Mapped", is.mapped),
        ("Shmem", cache),
        ("KReclaimable", 0),
        ("Slab", is.slab),
        ("SReclaimable", 0),
        ("SUnreclaim", is.slab),
        ("KernelStack", is.kernel_stack),
        ("PageTables", is.page_tables),
        ("CommitLimit", memory.commit_limit() as usize),
        ("Committed_AS", pages(&memory.committed)),
    ];
    lines
        .iter()
        .try_for_each(|(name, pages)| format::mem_line(out, name, *pages))?;
    format::kib_line(out, "VmallocTotal", 34_359_738_367)?;
    format::kib_line(out, "VmallocUsed", 0)?;
    format::kib_line(out, "VmallocChunk", 0)
}

fn vmstat(cx: &ProcCx<'_>, out: &mut SeqBuf) -> Result<()> {
    let frames = cx.kernel.hal.frame_stats();
    let memory = &cx.kernel.memory;
    writeln!(out, "nr_free_pages {}", frames.free)?;
    writeln!(out, "nr_anon_pages {}", memory.nr_anon.now())?;
    writeln!(
        out,
        "nr_mapped {}",
        memory.nr_mapped.load(Ordering::Relaxed).max(0)
    )?;
    writeln!(out, "nr_file_pages {}", memory.nr_cache.now())?;
    writeln!(out, "nr_shmem {}", memory.nr_cache.now())?;
    writeln!(out, "nr_page_table_pages {}", frames.page_tables)?;
    writeln!(out, "nr_kernel_stack {}", frames.kernel_stacks * 4)?;
    writeln!(out, "pgpgin 0\npgpgout 0\npswpin 0\npswpout 0")
}

/// What the machine tells about its CPUs, in the order of `show_cpuinfo`.
fn cpuinfo(cx: &ProcCx<'_>, out: &mut SeqBuf) -> Result<()> {
    let cpus: Vec<_> = cpus(cx).collect();
    for &cpu in &cpus {
        let info = cx.kernel.hal.cpu_info(cpu);
        writeln!(out, "processor\t: {cpu}")?;
        writeln!(out, "vendor_id\t: {}", info.vendor)?;
        writeln!(out, "cpu family\t: {}", info.family)?;
        writeln!(out, "model\t\t: {}", info.model)?;
        writeln!(out, "model name\t: {}", info.name)?;
        writeln!(out, "stepping\t: {}", info.stepping)?;
        writeln!(out, "cpu MHz\t\t: {}.{:03}", info.khz / 1000, info.khz % 1000)?;
        writeln!(out, "physical id\t: 0")?;
        writeln!(out, "siblings\t: {}", cpus.len())?;
        writeln!(out, "core id\t\t: {cpu}")?;
        writeln!(out, "cpu cores\t: {}", cpus.len())?;
        writeln!(out, "apicid\t\t: {}", info.apic_id)?;
        writeln!(out, "initial apicid\t: {}", info.apic_id)?;
        writeln!(out, "fpu\t\t: yes\nfpu_exception\t: yes")?;
        writeln!(out, "cpuid level\t: {}", info.cpuid_level)?;
        writeln!(out, "wp\t\t: yes")?;
        writeln!(out, "flags\t\t: {}", info.flags)?;
        writeln!(out, "bugs\t\t:")?;
        let bogomips = info.khz * 2;
        writeln!(out, "bogomips\t: {}.{:02}", bogomips / 1000, bogomips / 10 % 100)?;
        writeln!(out, "clflush size\t: 64\ncache_alignment\t: 64")?;
        writeln!(
            out,
            "address sizes\t: {} bits physical, {} bits virtual",
            info.physical_bits, info.virtual_bits
        )?;
        writeln!(out, "power management:\n")?;
    }
    Ok(())
}

fn filesystems(cx: &ProcCx<'_>, out: &mut SeqBuf) -> Result<()> {
    for fs_type in cx.kernel.fs_types.all() {
        let nodev = if fs_type.requires_dev() { "" } else { "nodev" };
        writeln!(out, "{nodev}\t{}", fs_type.name())?;
    }
    Ok(())
}

/// Drivers by one number that each has; the name is Linux's.
const DRIVERS: &[(DevT, &str)] = &[
    (DevT::new(1, 3), "mem"),
    (DevT::new(4, 64), "ttyS"),
    (DevT::new(5, 0), "/dev/tty"),
    (DevT::new(5, 1), "/dev/console"),
    (DevT::new(5, 2), "/dev/ptmx"),
    (DevT::new(10, 229), "misc"),
];

/// Character devices by major number; there are no block devices.
fn devices(cx: &ProcCx<'_>, out: &mut SeqBuf) -> Result<()> {
    let nodes = crate::fs::device::nodes(cx.kernel);
    out.bytes(b"Character devices:\n")?;
    for (dev, name) in DRIVERS {
        if nodes.iter().any(|node| node.dev == *dev) {
            writeln!(out, "{:3} {name}", dev.major())?;
        }
    }
    if nodes.iter().any(|node| node.dev == DevT::new(5, 2)) {
        out.bytes(b"128 ptm\n136 pts\n")?;
    }
    out.bytes(b"\nBlock devices:\n")
}

/// Terminal drivers as `ps` names terminals by them.
fn tty_drivers(_cx: &ProcCx<'_>, out: &mut SeqBuf) -> Result<()> {
    out.bytes(
        b"/dev/tty             /dev/tty        5       0 system:/dev/tty\n\
          /dev/console         /dev/console    5       1 system:console\n\
          /dev/ptmx            /dev/ptmx       5       2 system\n\
          serial               /dev/ttyS       4      64 serial\n\
          pty_slave            /dev/pts      136 0-1048575 pty:slave\n\
          pty_master           /dev/ptm      128 0-1048575 pty:master\n",
    )
}

/// The one console.
fn consoles(_cx: &ProcCx<'_>, out: &mut SeqBuf) -> Result<()> {
    writeln!(out, "{:<21}-W- (EC p  )    4:64", "ttyS0")
}
