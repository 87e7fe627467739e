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
