//! Frames for user pages: the one place where they are taken, charged and given back.
//!
//! A frame's owner word says what the page is for and which memory cgroup pays: `id << 3 | kind`.

use core::sync::atomic::{AtomicI64, Ordering};

use alloc::sync::Arc;

use super::Memory;
use super::memcg::{Item, MemCgroup};
use crate::error::Result;
use crate::ids::Frame;

/// What a page is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum PageKind {
    /// Private memory of processes.
    Anon = 1,
    /// A page of a file.
    Cache = 2,
    /// Bytes in a pipe.
    Pipe = 3,
}

const KIND_BITS: u32 = 3;
/// How many memory cgroups an owner word can tell apart.
pub const MAX_OWNERS: u32 = 1 << (32 - KIND_BITS);

impl PageKind {
    #[inline(always)]
    fn of(owner: u32) -> Option<PageKind> {
        match owner & ((1 << KIND_BITS) - 1) {
            1 => Some(PageKind::Anon),
            2 => Some(PageKind::Cache),
            3 => Some(PageKind::Pipe),
            _ => None,
        }
    }
    #[inline(always)]
    fn item(self) -> Item {
        match self {
            PageKind::Anon => Item::Anon,
            PageKind::Cache => Item::Shmem,
            PageKind::Pipe => Item::Pipe,
        }
    }
    #[inline(always)]
    fn total(self, memory: &Memory) -> &AtomicI64 {
        match self {
            PageKind::Anon => &memory.nr_anon,
            PageKind::Cache => &memory.nr_cache,
            PageKind::Pipe => &memory.nr_pipe,
        }
    }
}

/// A frame with one reference, charged to `memcg`. `ENOMEM`.
#[inline]
pub fn alloc_page(memory: &Memory, kind: PageKind, zeroed: bool, memcg: &Arc<MemCgroup>) -> Result<Frame> {
    let control = &memory.control;
    control.charge(memcg, 1, kind.item())?;
    let frame = match memory.hal.alloc_frame(zeroed) {
        Ok(frame) => frame,
        Err(error) => {
            control.uncharge(memcg.id(), 1, kind.item());
            return Err(error);
        }
    };
    memory
        .hal
        .set_frame_owner(frame, memcg.id() << KIND_BITS | kind as u32);
    kind.total(memory).fetch_add(1, Ordering::Relaxed);
    Ok(frame)
}

/// One reference less; the last one frees and uncharges the frame.
#[inline]
pub fn put_page(memory: &Memory, frame: Frame) {
    if let Some(owner) = memory.hal.put_frame(frame)
        && let Some(kind) = PageKind::of(owner)
    {
        kind.total(memory).fetch_sub(1, Ordering::Relaxed);
        memory.control.uncharge(owner >> KIND_BITS, 1, kind.item());
    }
}
