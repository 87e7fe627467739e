//! `/sys/devices/system/node`: the one node, which has every CPU and all memory
//! (`Documentation/ABI/stable/sysfs-devices-node`).

use core::sync::atomic::Ordering;

use crate::cgroup::view::MemoryView;
use crate::error::Result;
use crate::fs::seq_file::SeqBuf;
use crate::kernel::Kernel;

/// The directory of the node.
pub(super) const NODE_DIR: &str = "devices/system/node/node0";

/// `meminfo`: the figures of `/proc/meminfo`.
pub(super) fn meminfo(kernel: &Kernel, view: Option<MemoryView>, out: &mut SeqBuf) -> Result<()> {
    let memory = &kernel.memory;
    let is = view.unwrap_or_else(|| {
        let frames = kernel.hal.frame_stats();
        MemoryView {
            total: frames.total,
            free: frames.free,
            anon: memory.nr_anon.now() as usize,
            file: memory.nr_cache.now() as usize,
            mapped: memory.nr_mapped.load(Ordering::Relaxed).max(0) as usize,
            slab: frames.heap,
            kernel_stack: frames.kernel_stacks,
            page_tables: frames.page_tables,
        }
    });
    let lines = [
        ("MemTotal", is.total),
        ("MemFree", is.free),
        ("MemUsed", is.total.saturating_sub(is.free)),
        ("FilePages", is.file),
        ("Mapped", is.mapped),
        ("AnonPages", is.anon),
        ("Shmem", is.file),
        ("KernelStack", is.kernel_stack),
        ("PageTables", is.page_tables),
        ("Slab", is.slab),
        ("SUnreclaim", is.slab),
    ];
    for (name, pages) in lines {
        let start = out.len();
        write!(out, "Node 0 {name}:")?;
        out.pad(start, 23)?;
        writeln!(out, "{:8} kB", pages * 4)?;
    }
    Ok(())
}
