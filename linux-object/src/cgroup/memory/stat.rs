//! `memory.stat` and `memory.numa_stat`.
//!
//! All files are in memory, so every page of a file is `shmem` and, as there, belongs to the anonymous
//! lists; there is no ageing, so everything is inactive. What there cannot be (swap, writeback, huge pages,
//! reclaim) is 0, which is true; what there can be and nobody counts (`unevictable`, `pglazyfree`) is left out.

use core::sync::atomic::Ordering::Relaxed;

use crate::cgroup::CfCx;
use crate::error::Result;
use crate::fs::seq_file::SeqBuf;
use crate::ids::PAGE_SIZE;
use crate::mm::memcg::Item;

use super::memcg_of_css;

/// The figures of one cgroup, in bytes.
pub(super) struct Figures {
    pub anon: u64,
    pub shmem: u64,
    /// Pages of files in page tables.
    pub mapped: u64,
    /// Pages, not bytes, of `anon` and `shmem` that were ever charged.
    pub charged: u64,
    pub kernel: u64,
    pub kernel_stack: u64,
    pub page_tables: u64,
    pub slab: u64,
    pub sock: u64,
    pub faults: u64,
}

impl Figures {
    /// Of the subtree, or of the cgroup alone; for the root those of the machine.
    pub fn of(cx: &CfCx<'_>, local: bool) -> Figures {
        let memcg = memcg_of_css(cx.css());
        let memory = &cx.kernel.memory;
        let page = PAGE_SIZE as u64;
        if memcg.is_root() {
            // What no cgroup pays for is the root's own.
            memory.control.drain(memcg);
            let own = |all: u64, item| match local {
                true => all.saturating_sub(memcg.stat(item)),
                false => all,
            };
            let mapped = memory.nr_mapped.load(Relaxed).max(0) as u64;
            let frames = cx.kernel.hal.frame_stats();
            let heap = frames.heap as u64 * page;
            let stacks = frames.kernel_stacks as u64 * page;
            let tables = frames.page_tables as u64 * page;
            return Figures {
                anon: own(memory.nr_anon.now(), Item::Anon) * page,
                shmem: own(memory.nr_cache.now(), Item::Shmem) * page,
                mapped: own(mapped, Item::Mapped) * page,
                charged: own(memory.nr_anon.made() + memory.nr_cache.made(), Item::Charged),
                kernel: heap + stacks + tables + memory.nr_pipe.now() * page,
                kernel_stack: stacks,
                page_tables: tables,
                slab: heap,
                sock: 0,
                faults: 0,
            };
        }
        memory.control.drain(memcg);
        let get = |item| {
            if local {
                memcg.stat_local(item)
            } else {
                memcg.stat(item)
            }
        };
        Figures {
            anon: get(Item::Anon) * page,
            shmem: get(Item::Shmem) * page,
            mapped: get(Item::Mapped) * page,
            charged: get(Item::Charged),
            kernel: (get(Item::Kmem) + get(Item::Pipe)) * page,
            kernel_stack: get(Item::KernelStack) * page,
            page_tables: get(Item::PageTables) * page,
            slab: get(Item::Slab),
            sock: get(Item::Sock),
            faults: get(Item::Faults),
        }
    }
}

/// `memory.stat`.
pub(super) fn show(cx: &CfCx<'_>, out: &mut SeqBuf) -> Result<()> {
    let is = Figures::of(cx, false);
    let lines: &[(&str, u64)] = &[
        ("anon", is.anon),
        ("file", is.shmem),
        ("kernel", is.kernel),
        ("kernel_stack", is.kernel_stack),
        ("pagetables", is.page_tables),
        ("sec_pagetables", 0),
        ("percpu", 0),
        ("sock", is.sock),
        ("vmalloc", 0),
        ("shmem", is.shmem),
        ("file_mapped", is.mapped),
        ("file_dirty", 0),
        ("file_writeback", 0),
        ("swapcached", 0),
        ("anon_thp", 0),
        ("file_thp", 0),
        ("shmem_thp", 0),
        ("inactive_anon", is.anon + is.shmem),
        ("active_anon", 0),
        ("inactive_file", 0),
        ("active_file", 0),
        ("slab_reclaimable", 0),
        ("slab_unreclaimable", is.slab),
        ("slab", is.slab),
        ("workingset_refault_anon", 0),
        ("workingset_refault_file", 0),
        ("workingset_activate_anon", 0),
        ("workingset_activate_file", 0),
        ("workingset_restore_anon", 0),
        ("workingset_restore_file", 0),
        ("workingset_nodereclaim", 0),
        ("pgscan", 0),
        ("pgsteal", 0),
        ("pgscan_kswapd", 0),
        ("pgscan_direct", 0),
        ("pgsteal_kswapd", 0),
        ("pgsteal_direct", 0),
        ("pgfault", is.faults),
        ("pgmajfault", 0),
        ("pgrefill", 0),
        ("pgactivate", 0),
        ("pgdeactivate", 0),
        ("thp_fault_alloc", 0),
        ("thp_collapse_alloc", 0),
    ];
    for (name, value) in lines {
        // The root does not count faults.
        if *name != "pgfault" || !cx.css().is_root() {
            writeln!(out, "{name} {value}")?;
        }
    }
    Ok(())
}

/// `memory.numa_stat`: there is one node.
pub(super) fn show_numa(cx: &CfCx<'_>, out: &mut SeqBuf) -> Result<()> {
    let is = Figures::of(cx, false);
    for (name, value) in [
        ("anon", is.anon),
        ("file", is.shmem),
        ("kernel_stack", is.kernel_stack),
        ("pagetables", is.page_tables),
        ("shmem", is.shmem),
        ("file_mapped", is.mapped),
        ("inactive_anon", is.anon + is.shmem),
        ("active_anon", 0),
        ("inactive_file", 0),
        ("active_file", 0),
    ] {
        writeln!(out, "{name} N0={value}")?;
    }
    Ok(())
}
