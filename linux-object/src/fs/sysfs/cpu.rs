//! `/sys/devices/system/cpu`. Every CPU that is there is online.

use alloc::sync::Arc;

use crate::error::Result;
use crate::fs::procfs::mask_list;
use crate::fs::seq_file::SeqBuf;
use crate::ids::CpuId;
use crate::kernel::Kernel;
use crate::sched::{CpuMask, MAX_CPUS};

/// `online`, `possible` and `present`.
pub(super) fn online(cpus: CpuMask, out: &mut SeqBuf) -> Result<()> {
    mask_list(out, cpus)?;
    out.byte(b'\n')
}

/// `offline`: none.
pub(super) fn offline(_kernel: &Arc<Kernel>, out: &mut SeqBuf) -> Result<()> {
    out.byte(b'\n')
}

/// `kernel_max`: the highest number that a CPU could have.
pub(super) fn kernel_max(_kernel: &Arc<Kernel>, out: &mut SeqBuf) -> Result<()> {
    writeln!(out, "{}", MAX_CPUS - 1)
}

/// The CPU of a directory `cpuN`.
pub(super) fn find(cpus: CpuMask, name: &[u8]) -> Option<CpuId> {
    let digits = core::str::from_utf8(name).ok()?.strip_prefix("cpu")?;
    let cpu = CpuId(digits.parse().ok()?);
    let canonical = digits == "0" || !digits.starts_with(['0', '+']);
    (canonical && cpus.contains(cpu)).then_some(cpu)
}

/// A mask as `%*pb` writes it: words of 32 bits, as many digits as there are CPUs.
pub(super) fn bitmap(cpus: CpuMask, count: usize, out: &mut SeqBuf) -> Result<()> {
    for word in (0..count.div_ceil(32)).rev() {
        let bits = (count - word * 32).min(32);
        let value = cpus.0 >> (word * 32) & u64::MAX >> (64 - bits);
        write!(out, "{value:0width$x}", width = bits.div_ceil(4))?;
        out.byte(if word > 0 { b',' } else { b'\n' })?;
    }
    Ok(())
}

/// Which CPUs, or which number, a file of `topology` shows.
enum Shown {
    Core,
    Zero,
    Own(bool),
    All(bool),
}

/// A file of `cpuN/topology`.
pub(super) struct TopologyFile {
    pub name: &'static str,
    shown: Shown,
}

const fn topology(name: &'static str, shown: Shown) -> TopologyFile {
    TopologyFile { name, shown }
}

/// Every CPU is a core with one thread, and all are of one package (as `/proc/cpuinfo` has it).
pub(super) static TOPOLOGY: &[TopologyFile] = &[
    topology("core_cpus", Shown::Own(false)),
    topology("core_cpus_list", Shown::Own(true)),
    topology("core_id", Shown::Core),
    topology("core_siblings", Shown::All(false)),
    topology("core_siblings_list", Shown::All(true)),
    topology("die_cpus", Shown::All(false)),
    topology("die_cpus_list", Shown::All(true)),
    topology("die_id", Shown::Zero),
    topology("package_cpus", Shown::All(false)),
    topology("package_cpus_list", Shown::All(true)),
    topology("physical_package_id", Shown::Zero),
    topology("thread_siblings", Shown::Own(false)),
    topology("thread_siblings_list", Shown::Own(true)),
];

impl TopologyFile {
    /// Writes the line about `cpu`, to a reader who sees `cpus`.
    pub fn show(&self, kernel: &Kernel, cpus: CpuMask, cpu: CpuId, out: &mut SeqBuf) -> Result<()> {
        let (mask, list) = match self.shown {
            Shown::Core => return writeln!(out, "{cpu}"),
            Shown::Zero => return writeln!(out, "0"),
            Shown::Own(list) => (CpuMask(1 << cpu.0), list),
            Shown::All(list) => (cpus, list),
        };
        if list {
            return online(mask, out);
        }
        bitmap(mask, kernel.hal.nr_cpus(), out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_as_linux_writes_them() {
        let text = |mask, count| {
            let mut out = SeqBuf::new();
            bitmap(CpuMask(mask), count, &mut out).unwrap();
            alloc::string::String::from_utf8(out.into_bytes()).unwrap()
        };
        assert_eq!(text(1, 1), "1\n");
        assert_eq!(text(2, 8), "02\n");
        assert_eq!(text(0xf, 4), "f\n");
        assert_eq!(text(0x1_0000_0003, 33), "1,00000003\n");
        assert_eq!(text(u64::MAX, 64), "ffffffff,ffffffff\n");
    }
}
