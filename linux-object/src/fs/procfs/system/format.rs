//! The text of the files about the whole kernel, from plain figures.

use crate::cgroup::view::CpuView;
use crate::error::Result;
use crate::fs::seq_file::SeqBuf;

/// Nanoseconds as whole and hundredths of seconds.
fn centiseconds(ns: u64) -> (u64, u64) {
    (ns / 1_000_000_000, ns / 10_000_000 % 100)
}

/// `/proc/uptime`: time since boot, and the sum over the CPUs of time without work.
pub(super) fn uptime(out: &mut SeqBuf, up: u64, idle: u64) -> Result<()> {
    let ((up, up_cs), (idle, idle_cs)) = (centiseconds(up), centiseconds(idle));
    writeln!(out, "{up}.{up_cs:02} {idle}.{idle_cs:02}")
}

/// Fraction bits of a load average.
pub(super) const LOAD_SHIFT: u32 = 11;

/// `/proc/loadavg`.
pub(super) fn loadavg(
    out: &mut SeqBuf,
    loads: [u64; 3],
    running: usize,
    threads: usize,
    last_pid: i32,
) -> Result<()> {
    for load in loads {
        // Rounded to hundredths, as Linux does.
        let load = load + (1 << LOAD_SHIFT) / 200;
        let hundredths = ((load & ((1 << LOAD_SHIFT) - 1)) * 100) >> LOAD_SHIFT;
        write!(out, "{}.{hundredths:02} ", load >> LOAD_SHIFT)?;
    }
    writeln!(out, "{running}/{threads} {last_pid}")
}

/// What a CPU did, in nanoseconds.
#[derive(Clone, Copy, Default)]
pub(super) struct CpuTimes {
    pub user: u64,
    pub nice: u64,
    pub system: u64,
    pub idle: u64,
}

impl From<CpuView> for CpuTimes {
    fn from(cpu: CpuView) -> CpuTimes {
        CpuTimes {
            user: cpu.user,
            nice: 0,
            system: cpu.system,
            idle: cpu.idle,
        }
    }
}

/// The figures of `/proc/stat`.
#[derive(Default)]
pub(super) struct Stat {
    pub interrupts: u64,
    pub context_switches: u64,
    /// Seconds since 1970.
    pub boot_time: u64,
    pub forks: u64,
    pub running: usize,
    pub blocked: usize,
}

/// `/proc/stat`.
pub(super) fn stat(out: &mut SeqBuf, cpus: &[CpuTimes], stat: &Stat) -> Result<()> {
    let mut sum = CpuTimes::default();
    for cpu in cpus {
        sum.user += cpu.user;
        sum.nice += cpu.nice;
        sum.system += cpu.system;
        sum.idle += cpu.idle;
    }
    out.bytes(b"cpu  ")?;
    cpu_times(out, &sum)?;
    for (n, cpu) in cpus.iter().enumerate() {
        write!(out, "cpu{n} ")?;
        cpu_times(out, cpu)?;
    }
    writeln!(out, "intr {}", stat.interrupts)?;
    writeln!(out, "ctxt {}", stat.context_switches)?;
    writeln!(out, "btime {}", stat.boot_time)?;
    writeln!(out, "processes {}", stat.forks)?;
    writeln!(out, "procs_running {}", stat.running)?;
    writeln!(out, "procs_blocked {}", stat.blocked)?;
    writeln!(out, "softirq 0 0 0 0 0 0 0 0 0 0 0")
}

fn cpu_times(out: &mut SeqBuf, cpu: &CpuTimes) -> Result<()> {
    const TICK: u64 = 10_000_000;
    let [user, nice, system, idle] = [cpu.user, cpu.nice, cpu.system, cpu.idle].map(|ns| ns / TICK);
    writeln!(out, "{user} {nice} {system} {idle} 0 0 0 0 0 0")
}

/// A line of `/proc/meminfo`.
pub(super) fn mem_line(out: &mut SeqBuf, name: &str, pages: usize) -> Result<()> {
    kib_line(out, name, pages as u64 * 4)
}

/// A line of `/proc/meminfo`, in KiB.
pub(super) fn kib_line(out: &mut SeqBuf, name: &str, kib: u64) -> Result<()> {
    let start = out.len();
    write!(out, "{name}:")?;
    out.pad(start, 16)?;
    writeln!(out, "{kib:8} kB")
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
    fn uptime_in_hundredths() {
        assert_eq!(
            text(|out| uptime(out, 2_746_549_000_000, 5_047_870_000_001)),
            "2746.54 5047.87\n"
        );
    }

    #[test]
    fn loads_are_rounded() {
        let loads = [0, 1 << LOAD_SHIFT, (37 << LOAD_SHIFT) / 100];
        assert_eq!(
            text(|out| loadavg(out, loads, 3, 127, 19083)),
            "0.00 1.00 0.37 3/127 19083\n"
        );
    }

    #[test]
    fn stat_as_procps_reads_it() {
        let cpu = CpuTimes {
            user: 20_000_000,
            nice: 0,
            system: 35_000_000,
            idle: 1_000_000_000,
        };
        let figures = Stat {
            context_switches: 7,
            boot_time: 1_795_446_459,
            forks: 9,
            running: 1,
            ..Stat::default()
        };
        let want = "cpu  4 0 7 200 0 0 0 0 0 0\ncpu0 2 0 3 100 0 0 0 0 0 0\ncpu1 2 0 3 100 0 0 0 0 0 0\nintr 0\nctxt 7\n\
                    btime 1795446459\nprocesses 9\nprocs_running 1\nprocs_blocked 0\nsoftirq 0 0 0 0 0 0 0 0 0 0 0\n";
        assert_eq!(text(|out| stat(out, &[cpu, cpu], &figures)), want);
    }

    #[test]
    fn memory_lines_are_aligned() {
        assert_eq!(
            text(|out| mem_line(out, "MemTotal", 6_171_021)),
            "MemTotal:       24684084 kB\n"
        );
        assert_eq!(
            text(|out| mem_line(out, "Buffers", 1)),
            "Buffers:               4 kB\n"
        );
        assert_eq!(
            text(|out| kib_line(out, "VmallocTotal", 34_359_738_367)),
            "VmallocTotal:   34359738367 kB\n"
        );
    }
}
