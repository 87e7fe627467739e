//! Memory: address spaces, faults, the page cache.
//!
//! Model: an [`Mm`] is a sorted set of areas ([`Vma`]) and the page tables that are filled on
//! demand. Anonymous memory lives in page tables alone: a frame is private to one process
//! when its reference count is 1, and copied on a write otherwise. Pages of files live in a
//! [`PageCache`], which knows the address spaces that map it so that truncation reaches them.
//!
//! Locks: `class::Mm` guards one address space, `class::PageCache` one cache and is taken inside
//! it. Files, inodes and whole areas are never dropped under either: what is removed is collected
//! and dropped after the unlock. Frames are freed only after the TLB was flushed.
//!
//! Frames are taken and given back in [`charge`] alone, where they are accounted.

mod addr_space;
mod attachment;
pub mod charge;
mod exe_file;
mod fault;
mod fork;
mod gather;
mod madvise;
pub mod memcg;
mod memory;
mod mempolicy;
mod mlock;
mod mmap;
mod mprotect;
mod mremap;
pub mod oom;
mod page_cache;
pub mod page_counter;
mod page_tree;
mod pagemap;
mod populate;
mod quota;
pub mod reclaim;
mod remap_file;
mod remote;
mod residency;
mod smaps;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
mod vma;
mod vma_tree;
mod zap;

pub use addr_space::{AUXV_MAX, Fault, Mm, MmCounts, MmLayout};
pub use exe_file::ExeFile;
pub use madvise::Advice;
pub use memory::{Memory, MmQuota, Promise};
pub use mempolicy::{MAX_NODES, MemPolicy, NodeMask};
pub(crate) use mmap::VVAR;
pub use page_cache::{MAX_FILE_SIZE, PageCache, PageHost, PageRef, Seals};
pub use pagemap::{Clear, NumaUsage, PAGEMAP_ENTRY};
pub use populate::Populate;
pub use quota::handle_user_fault;
pub use remote::PinnedPage;
pub use smaps::Smaps;
pub use vma::{FrameSet, MapFlags, MapRequest, Prot, VmFile, VmFlags, VmOps, VmSource, Vma};
