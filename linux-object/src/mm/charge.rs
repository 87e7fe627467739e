//! Frames for user pages: the one place where they are taken, charged and given back.
//!
//! A frame's owner word says what the page is for and which memory cgroup pays: `id << 3 | MAPPED | kind`.
//! `MAPPED` says that the page of a file is counted as mapped, which follows its number of page-table entries:
//! whoever changes that from or to 0 sets or clears the bit, and counts if it was not so already. So the
//! statistic is the number of frames with the bit, whatever happens at once, and the bit moves with the page
//! when another cgroup pays.

use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

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

const KIND: u32 = 3;
const MAPPED: u32 = 4;
const OWNER_SHIFT: u32 = 3;
/// How many memory cgroups an owner word can tell apart.
pub const MAX_OWNERS: u32 = 1 << (32 - OWNER_SHIFT);

impl PageKind {
    #[inline(always)]
    fn of(owner: u32) -> Option<PageKind> {
        match owner & KIND {
            1 => Some(PageKind::Anon),
            2 => Some(PageKind::Cache),
            3 => Some(PageKind::Pipe),
            _ => None,
        }
    }
    /// What it is counted as.
    #[inline(always)]
    pub fn item(self) -> Item {
        match self {
            PageKind::Anon => Item::Anon,
            PageKind::Cache => Item::Shmem,
            PageKind::Pipe => Item::Pipe,
        }
    }
    #[inline(always)]
    fn total(self, memory: &Memory) -> &PageTotal {
        match self {
            PageKind::Anon => &memory.nr_anon,
            PageKind::Cache => &memory.nr_cache,
            PageKind::Pipe => &memory.nr_pipe,
        }
    }
}

/// Pages of one kind in the whole machine.
#[derive(Default)]
pub struct PageTotal {
    made: AtomicU64,
    gone: AtomicU64,
}

impl PageTotal {
    /// How many there are.
    pub fn now(&self) -> u64 {
        // In this order it may be too many for a moment, but never less than none.
        let gone = self.gone.load(Relaxed);
        self.made.load(Relaxed).saturating_sub(gone)
    }
    /// How many there ever were.
    pub fn made(&self) -> u64 {
        self.made.load(Relaxed)
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
        .set_frame_owner(frame, memcg.id() << OWNER_SHIFT | kind as u32);
    kind.total(memory).made.fetch_add(1, Relaxed);
    Ok(frame)
}

/// One reference less; the last one frees and uncharges the frame.
#[inline]
pub fn put_page(memory: &Memory, frame: Frame) {
    if let Some(owner) = memory.hal.put_frame(frame)
        && let Some(kind) = PageKind::of(owner)
    {
        debug_assert!(owner & MAPPED == 0, "a page is free and mapped");
        kind.total(memory).gone.fetch_add(1, Relaxed);
        memory.control.uncharge(owner >> OWNER_SHIFT, 1, kind.item());
    }
}

/// The page of a file got a page-table entry. The caller holds a reference.
#[inline]
pub fn note_mapped(memory: &Memory, frame: Frame) {
    if memory.hal.count_frame_maps(frame, 1) == 1 {
        set_mapped(memory, frame, true);
    }
}

/// The page of a file lost one. The caller still holds the reference that went with it.
#[inline]
pub fn note_unmapped(memory: &Memory, frame: Frame) {
    if memory.hal.count_frame_maps(frame, -1) == 0 {
        set_mapped(memory, frame, false);
        // Somebody may have mapped it meanwhile, and found it counted.
        if memory.hal.count_frame_maps(frame, 0) != 0 {
            set_mapped(memory, frame, true);
        }
    }
}

#[cold]
fn set_mapped(memory: &Memory, frame: Frame, mapped: bool) {
    let bit = if mapped { MAPPED } else { 0 };
    loop {
        let owner = memory.hal.frame_owner(frame);
        if owner & MAPPED == bit || PageKind::of(owner) != Some(PageKind::Cache) {
            return;
        }
        if memory.hal.change_frame_owner(frame, owner, owner & !MAPPED | bit) {
            let by = if mapped { 1 } else { -1 };
            memory.nr_mapped.fetch_add(i64::from(by), Relaxed);
            memory.control.count_mapped(owner >> OWNER_SHIFT, by);
            return;
        }
    }
}

/// Whether `memcg` pays for this page of that kind.
#[inline]
pub fn is_charged_to(memory: &Memory, frame: Frame, kind: PageKind, memcg: &MemCgroup) -> bool {
    let owner = memory.hal.frame_owner(frame);
    PageKind::of(owner) == Some(kind) && owner >> OWNER_SHIFT == memcg.id()
}

/// `to` pays for the page from now on, if it is `from` that does: then whether it is counted as mapped.
/// The charges and statistics of both are the caller's. The caller holds a reference.
pub fn change_payer(
    memory: &Memory,
    frame: Frame,
    kind: PageKind,
    from: &MemCgroup,
    to: &MemCgroup,
) -> Option<bool> {
    loop {
        let owner = memory.hal.frame_owner(frame);
        if PageKind::of(owner) != Some(kind) || owner >> OWNER_SHIFT != from.id() {
            return None;
        }
        let new = owner & (KIND | MAPPED) | to.id() << OWNER_SHIFT;
        if memory.hal.change_frame_owner(frame, owner, new) {
            return Some(owner & MAPPED != 0);
        }
    }
}
