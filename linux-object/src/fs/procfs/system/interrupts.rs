//! `/proc/interrupts` (proc(5)).

use alloc::vec::Vec;

use crate::error::Result;
use crate::fs::procfs::ProcCx;
use crate::fs::seq_file::SeqBuf;
use crate::hal::InterruptSource;
use crate::ids::CpuId;

/// A line per source with a column per CPU.
pub(super) fn show(cx: &ProcCx<'_>, out: &mut SeqBuf) -> Result<()> {
    let hal = &cx.kernel.hal;
    let cpus = hal.nr_cpus();
    out.bytes(b"           ")?;
    for cpu in 0..cpus {
        write!(out, "CPU{cpu:<8}")?;
    }
    out.byte(b'\n')?;
    let mut lines: Vec<(InterruptSource, Vec<u64>)> = Vec::new();
    for cpu in 0..cpus {
        let mut line = 0;
        hal.interrupts(CpuId(cpu as u32), &mut |source, count| {
            if cpu == 0 {
                lines.push((*source, Vec::new()));
            }
            if let Some((_, counts)) = lines.get_mut(line) {
                counts.push(count);
            }
            line += 1;
        });
    }
    for (source, counts) in lines {
        if source.optional && counts.iter().all(|count| *count == 0) {
            continue;
        }
        write!(out, "{:>3}: ", source.name)?;
        for count in counts {
            write!(out, "{count:10} ")?;
        }
        writeln!(out, "  {}", source.text)?;
    }
    Ok(())
}

/// All of them together.
pub(super) fn total(cx: &ProcCx<'_>) -> u64 {
    let hal = &cx.kernel.hal;
    let mut sum = 0;
    for cpu in 0..hal.nr_cpus() {
        hal.interrupts(CpuId(cpu as u32), &mut |_, count| sum += count);
    }
    sum
}
