//! Giving memory back under pressure.
//!
//! What there is to reclaim: nothing yet, and this is the one place that knows it. Every file lives in
//! memory alone (Linux's shmem and ramfs, which it cannot reclaim without swap either), there is no swap
//! for private memory, and unused dentries are kept only where they *are* the directory. A file system
//! whose pages can be read again, or swap, adds its clean pages here; who is protected and by how much is
//! [`effective_protection`](super::page_counter::effective_protection).

use alloc::sync::Arc;

use super::memcg::{MemCgroup, MemControl};

/// Tries to free `pages` of what is charged to `memcg` and below. Returns how many were freed.
pub fn reclaim(_control: &MemControl, _memcg: &Arc<MemCgroup>, _pages: u64) -> u64 {
    0
}
