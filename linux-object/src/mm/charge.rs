//! Frames for user pages: the one place where they are taken, charged and given back.
//!
//! A memory controller hooks in here: the frame's owner word says whom to uncharge.

use core::sync::atomic::Ordering;

use super::Memory;
use crate::error::Result;
use crate::ids::Frame;

/// What a page is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PageKind {
    /// Private memory of processes.
    Anon,
    /// A page of a file.
    Cache,
}

fn total(memory: &Memory, kind: PageKind) -> &core::sync::atomic::AtomicI64 {
    match kind {
        PageKind::Anon => &memory.nr_anon,
        PageKind::Cache => &memory.nr_cache,
    }
}

/// A frame with one reference. `ENOMEM`.
#[inline]
pub fn alloc_page(memory: &Memory, kind: PageKind, zeroed: bool) -> Result<Frame> {
    let frame = memory.hal.alloc_frame(zeroed)?;
    total(memory, kind).fetch_add(1, Ordering::Relaxed);
    Ok(frame)
}

/// One reference less; the last one frees and uncharges the frame.
#[inline]
pub fn put_page(memory: &Memory, kind: PageKind, frame: Frame) {
    if memory.hal.put_frame(frame).is_some() {
        total(memory, kind).fetch_sub(1, Ordering::Relaxed);
    }
}
