//! The pages of one file (Linux's `struct address_space`).
//!
//! Model: the cache is the only store of the file (tmpfs, memfd, shared anonymous memory); a page
//! that is not there is a hole and reads as zeros. The cache holds one reference to each frame,
//! each mapping and each running copy one more. The size is here too, because faults beyond it
//! must fail from the instant a truncation begins.
//!
//! Mappings register themselves ([`PageCache::register`]); truncation and hole punching use the list
//! to take the pages out of page tables before they leave the cache.
//!
//! Locks: `class::PageCache`, inside `class::Mm`. It is never held while user memory is copied
//! or an `Mm` is locked. Whoever changes the size or writes must exclude others who do (the
//! inode's own lock); reads and faults need nothing.

use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::ops::Range;
use core::sync::atomic::{AtomicI64, AtomicU32, AtomicU64, Ordering};

use super::addr_space::MmCore;
use super::charge::{self, PageKind};
use super::memcg::MemCgroup;
use super::page_tree::PageTree;
use super::{Fault, Memory};
use crate::error::Result;
use crate::fs::FileTime;
use crate::fs::io::{IoDst, IoSrc};
use crate::hal::Hal;
use crate::ids::{Frame, PAGE_SHIFT, PAGE_SIZE};
use crate::kernel::Kernel;
use crate::sync::{SpinLock, class};
use crate::task::si_code;
use crate::{bail, ensure, err};

/// Bytes in a page, as a file offset.
const PAGE: u64 = PAGE_SIZE as u64;
/// The largest size of a file (`MAX_LFS_FILESIZE`).
pub const MAX_FILE_SIZE: u64 = i64::MAX as u64;

/// Who limits the pages of a cache: the file system instance.
pub trait PageHost: Send + Sync {
    /// Takes `pages` more into account; `ENOSPC` if they do not fit.
    fn charge(&self, pages: u64) -> Result<()>;
    /// Gives `pages` back. Called under `class::PageCache`: takes no lock but leaves.
    fn uncharge(&self, pages: u64);
}

bitflags::bitflags! {
    /// What may not be done to the file any more (`F_ADD_SEALS`).
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    #[allow(missing_docs)]
    pub struct Seals: u32 {
        const SEAL = 1;
        const SHRINK = 2;
        const GROW = 4;
        const WRITE = 8;
        const FUTURE_WRITE = 0x10;
    }
}

#[derive(Default)]
struct State {
    pages: PageTree,
    /// Mappings by the slot that `register` gave out.
    mappings: Vec<Option<Weak<MmCore>>>,
    free_slots: Vec<u32>,
    /// Of these, how many are shared and could be written.
    shared: u32,
}

/// The pages of one file.
pub struct PageCache {
    memory: Arc<Memory>,
    host: Option<Arc<dyn PageHost>>,
    id: u64,
    size: AtomicU64,
    seals: AtomicU32,
    /// When it was last written through a mapping, in nanoseconds since 1970; 0: never.
    mapped_write: AtomicI64,
    state: SpinLock<State, class::PageCache>,
}

/// A page of a cache, held while it is copied.
pub struct PageRef<'a> {
    cache: &'a PageCache,
    /// The frame.
    pub frame: Frame,
}

impl Drop for PageRef<'_> {
    fn drop(&mut self) {
        self.cache.put(self.frame);
    }
}

fn pages_of(size: u64) -> u64 {
    size.div_ceil(PAGE)
}

impl PageCache {
    /// An empty file without a limit.
    pub fn new(kernel: &Arc<Kernel>) -> Arc<PageCache> {
        PageCache::with(&kernel.memory, None)
    }

    /// An empty file whose pages `host` limits.
    pub fn with_host(kernel: &Arc<Kernel>, host: Arc<dyn PageHost>) -> Arc<PageCache> {
        PageCache::with(&kernel.memory, Some(host))
    }

    /// Likewise, from the kernel's memory alone.
    pub fn with(memory: &Arc<Memory>, host: Option<Arc<dyn PageHost>>) -> Arc<PageCache> {
        Arc::new(PageCache {
            id: memory.next_id(),
            memory: memory.clone(),
            host,
            size: AtomicU64::new(0),
            seals: AtomicU32::new(0),
            mapped_write: AtomicI64::new(0),
            state: SpinLock::new(State::default()),
        })
    }

    /// A number that no other cache of this kernel has.
    pub fn id(&self) -> u64 {
        self.id
    }
    /// The size of the file in bytes.
    #[inline]
    pub fn size(&self) -> u64 {
        self.size.load(Ordering::Acquire)
    }
    /// Pages that it holds.
    pub fn nr_pages(&self) -> u64 {
        self.state.lock().pages.len()
    }
    fn hal(&self) -> &dyn Hal {
        &*self.memory.hal
    }
    fn put(&self, frame: Frame) {
        charge::put_page(&self.memory, frame);
    }
    fn charge(&self, pages: u64) -> Result<()> {
        self.host.as_ref().map_or(Ok(()), |host| host.charge(pages))
    }
    fn uncharge(&self, pages: u64) {
        if let Some(host) = &self.host {
            host.uncharge(pages);
        }
    }

    /// The page at `index`, if there is one.
    pub fn page(&self, index: u64) -> Option<PageRef<'_>> {
        let state = self.state.lock();
        let frame = state.pages.get(index)?;
        self.hal().get_frame(frame);
        Some(PageRef { cache: self, frame })
    }

    /// Reads at `offset`; 0 at the end. What was moved before an `EFAULT` counts.
    pub fn read_at(&self, mut offset: u64, to: &mut dyn IoDst) -> Result<usize> {
        let start = offset;
        loop {
            let within = (offset % PAGE) as usize;
            let left = self.size().saturating_sub(offset).min(to.remaining() as u64);
            let len = (left as usize).min(PAGE_SIZE - within);
            if len == 0 {
                break;
            }
            let moved = match self.page(offset >> PAGE_SHIFT) {
                Some(page) => to.put_frame(self.hal(), page.frame, within, len),
                None => to.put_zeros(len),
            };
            match moved {
                Ok(moved) => {
                    offset += moved as u64;
                    if moved < len {
                        break;
                    }
                }
                Err(error) if offset == start => return Err(error),
                Err(_) => break,
            }
        }
        Ok((offset - start) as usize)
    }

    /// Writes at `offset`, growing the file. `EFBIG`, `ENOSPC`, `ENOMEM`; what was written
    /// before an error counts.
    pub fn write_at(&self, mut offset: u64, from: &mut dyn IoSrc) -> Result<usize> {
        let start = offset;
        while from.remaining() > 0 {
            match self.write_page(offset, from) {
                Ok(0) => break,
                Ok(moved) => offset += moved as u64,
                Err(error) if offset == start => return Err(error),
                Err(_) => break,
            }
        }
        Ok((offset - start) as usize)
    }

    fn write_page(&self, offset: u64, from: &mut dyn IoSrc) -> Result<usize> {
        ensure!(offset < MAX_FILE_SIZE, EFBIG, "beyond the largest size of a file");
        let within = (offset % PAGE) as usize;
        let len = from
            .remaining()
            .min(PAGE_SIZE - within)
            .min((MAX_FILE_SIZE - offset) as usize);
        let index = offset >> PAGE_SHIFT;
        let moved = match self.page(index) {
            Some(page) => from.take_frame(self.hal(), page.frame, within, len)?,
            None => {
                // The page is filled before anyone sees it.
                let frame = self.new_page(len < PAGE_SIZE, &self.memory.control.current())?;
                let moved = match from.take_frame(self.hal(), frame, within, len) {
                    Ok(0) => Err(None),
                    Ok(moved) => Ok(moved),
                    Err(error) => Err(Some(error)),
                };
                let moved = match moved {
                    Ok(moved) => moved,
                    Err(error) => {
                        self.drop_new_page(frame);
                        return error.map_or(Ok(0), Err);
                    }
                };
                if moved < len {
                    // A copy may have gone further before it failed.
                    self.hal().zero_frame(frame, within + moved, len - moved);
                }
                self.insert_written(index, frame, within, moved)?;
                moved
            }
        };
        self.grow(offset + moved as u64);
        Ok(moved)
    }

    /// Puts a filled page in, or copies what was written over the page that came in meanwhile.
    fn insert_written(&self, index: u64, frame: Frame, within: usize, len: usize) -> Result<()> {
        let mut state = self.state.lock();
        match state.pages.get(index) {
            None => {
                let inserted = state.pages.insert(index, frame);
                drop(state);
                inserted.inspect_err(|_| self.drop_new_page(frame))
            }
            Some(present) => {
                let (mut buf, mut at) = ([0; 256], within);
                while at < within + len {
                    let part = (within + len - at).min(buf.len());
                    self.hal().read_frame(frame, at, &mut buf[..part]);
                    self.hal().write_frame(present, at, &buf[..part]);
                    at += part;
                }
                drop(state);
                self.drop_new_page(frame);
                Ok(())
            }
        }
    }

    fn new_page(&self, zeroed: bool, memcg: &Arc<MemCgroup>) -> Result<Frame> {
        self.charge(1)?;
        charge::alloc_page(&self.memory, PageKind::Cache, zeroed, memcg).inspect_err(|_| self.uncharge(1))
    }

    fn drop_new_page(&self, frame: Frame) {
        self.put(frame);
        self.uncharge(1);
    }

    fn grow(&self, end: u64) {
        if end > self.size() {
            let _state = self.state.lock();
            self.size.fetch_max(end, Ordering::Release);
        }
    }

    /// The page at `index` with a reference for the mapping that a fault makes. A hole gets a page;
    /// that `memcg` pays; beyond the end is `SIGBUS`.
    pub(super) fn fault_page(&self, index: u64, memcg: &Arc<MemCgroup>) -> Result<Frame, Fault> {
        let mut fresh = None;
        let result = loop {
            let mut state = self.state.lock();
            if index >= pages_of(self.size()) {
                break Err(Fault::Bus(si_code::BUS_ADRERR));
            }
            if let Some(frame) = state.pages.get(index) {
                self.hal().get_frame(frame);
                break Ok(frame);
            }
            if let Some(frame) = fresh.take() {
                match state.pages.insert(index, frame) {
                    Ok(()) => continue,
                    Err(_) => {
                        fresh = Some(frame);
                        break Err(Fault::Oom);
                    }
                }
            }
            drop(state);
            match self.new_page(true, memcg) {
                Ok(frame) => fresh = Some(frame),
                Err(error) if error == err!(ENOMEM) => break Err(Fault::Oom),
                // No space left in the file system.
                Err(_) => break Err(Fault::Bus(si_code::BUS_ADRERR)),
            }
        };
        if let Some(frame) = fresh {
            self.drop_new_page(frame);
        }
        result
    }

    /// Hands the pages that are there, of `range` and before the end, to `each` with a reference
    /// (fault-around).
    pub(super) fn for_present(&self, range: Range<u64>, mut each: impl FnMut(u64, Frame)) {
        let state = self.state.lock();
        let end = range.end.min(pages_of(self.size()));
        for index in range.start..end {
            if let Some(frame) = state.pages.get(index) {
                self.hal().get_frame(frame);
                each(index, frame);
            }
        }
    }

    /// Whether the page at `index` is there (`mincore`).
    pub fn is_present(&self, index: u64) -> bool {
        self.state.lock().pages.get(index).is_some()
    }

    /// Sets the size: pages beyond it go, from mappings too, and the rest of the last one becomes
    /// zero.
    pub fn truncate(&self, len: u64) -> Result<()> {
        ensure!(len <= MAX_FILE_SIZE, EFBIG, "beyond the largest size of a file");
        let shrinks = {
            let _state = self.state.lock();
            self.size.swap(len, Ordering::AcqRel) > len
        };
        if shrinks {
            self.unmap_mappings(pages_of(len)..u64::MAX, true);
            self.remove_pages(pages_of(len)..u64::MAX);
            self.zero_part(len, pages_of(len) * PAGE);
        }
        Ok(())
    }

    /// Fills holes with pages (`fallocate`), and grows the file unless `keep_size`. `ENOSPC`; then
    /// nothing is left behind.
    pub fn allocate(&self, range: Range<u64>, keep_size: bool) -> Result<()> {
        ensure!(
            range.end <= MAX_FILE_SIZE,
            EFBIG,
            "beyond the largest size of a file"
        );
        let pages = range.start / PAGE..pages_of(range.end);
        let free = self.hal().frame_stats().total as u64;
        ensure!(
            pages.end - pages.start <= free + self.nr_pages(),
            ENOSPC,
            "more than all memory"
        );
        let memcg = self.memory.control.current();
        let mut added: Vec<u64> = Vec::new();
        let mut index = pages.start;
        let result = loop {
            index = self.state.lock().pages.next_absent(index);
            if index >= pages.end {
                break Ok(());
            }
            if added.try_reserve(1).is_err() {
                break Err(err!(ENOMEM));
            }
            let frame = match self.new_page(true, &memcg) {
                Ok(frame) => frame,
                Err(error) => break Err(error),
            };
            let inserted = {
                let mut state = self.state.lock();
                match state.pages.get(index) {
                    None => state.pages.insert(index, frame).map(|()| true),
                    Some(_) => Ok(false),
                }
            };
            match inserted {
                Ok(true) => added.push(index),
                Ok(false) => self.drop_new_page(frame),
                Err(error) => {
                    self.drop_new_page(frame);
                    break Err(error);
                }
            }
            index += 1;
        };
        match result {
            Ok(()) if !keep_size => self.grow(range.end),
            Ok(()) => {}
            Err(_) => {
                for index in added {
                    self.unmap_mappings(index..index + 1, false);
                    self.remove_pages(index..index + 1);
                }
            }
        }
        result
    }

    /// Makes a hole: whole pages go, from mappings too, parts of pages become zero.
    pub fn punch_hole(&self, range: Range<u64>) {
        let end = range.end.min(MAX_FILE_SIZE);
        let (first, last) = (pages_of(range.start), end / PAGE);
        if first < last {
            self.unmap_mappings(first..last, false);
            self.remove_pages(first..last);
            // A fault may have mapped a page again before it left the cache.
            self.unmap_mappings(first..last, false);
        }
        self.zero_part(range.start, end.min(first * PAGE));
        if last * PAGE >= range.start.max(first * PAGE) {
            self.zero_part(last * PAGE, end);
        }
    }

    /// Zeros a part of one page, if the page is there.
    fn zero_part(&self, from: u64, to: u64) {
        if from < to
            && let Some(page) = self.page(from / PAGE)
        {
            self.hal()
                .zero_frame(page.frame, (from % PAGE) as usize, (to - from) as usize);
        }
    }

    fn remove_pages(&self, range: Range<u64>) {
        loop {
            let mut frames = Vec::new();
            // Without memory for more, one by one.
            let more = if frames.try_reserve_exact(512).is_ok() {
                self.state.lock().pages.remove_some(range.clone(), &mut frames)
            } else {
                let mut state = self.state.lock();
                let next = state.pages.next_present(range.start).filter(|&at| at < range.end);
                let frame = next.and_then(|at| state.pages.remove(at));
                drop(state);
                if let Some(frame) = frame {
                    self.put(frame);
                    self.uncharge(1);
                }
                next.is_some()
            };
            self.uncharge(frames.len() as u64);
            frames.into_iter().for_each(|frame| self.put(frame));
            if !more {
                break;
            }
        }
    }

    /// `SEEK_DATA`: the first byte at `offset` or later that is in a page. `ENXIO` if there is none.
    pub fn next_data(&self, offset: u64) -> Result<u64> {
        let size = self.size();
        ensure!(offset < size, ENXIO, "beyond the end of the file");
        match self.state.lock().pages.next_present(offset / PAGE) {
            Some(index) if index * PAGE < size => Ok(offset.max(index * PAGE)),
            _ => bail!(ENXIO, "no data up to the end of the file"),
        }
    }

    /// `SEEK_HOLE`: the first byte at `offset` or later that is in no page; the end is a hole.
    pub fn next_hole(&self, offset: u64) -> Result<u64> {
        let size = self.size();
        ensure!(offset < size, ENXIO, "beyond the end of the file");
        let index = self.state.lock().pages.next_absent(offset / PAGE);
        Ok(offset.max(index * PAGE).min(size))
    }

    /// When the file was last written through a mapping, for its mtime.
    pub fn last_mapped_write(&self) -> Option<FileTime> {
        match self.mapped_write.load(Ordering::Relaxed) {
            0 => None,
            at => Some(FileTime(at.into())),
        }
    }

    /// Notes a write through a mapping, at nanoseconds since 1970.
    pub(super) fn note_mapped_write(&self, at: i64) {
        self.mapped_write.store(at, Ordering::Relaxed);
    }

    // Seals (`fcntl(2)`, `memfd_create(2)`).

    /// The seals of the file.
    pub fn seals(&self) -> Seals {
        Seals::from_bits_retain(self.seals.load(Ordering::Relaxed))
    }

    /// Adds seals. `EBUSY` for `F_SEAL_WRITE` while a shared mapping could write; `EPERM` once
    /// sealed against seals.
    pub fn add_seals(&self, seals: Seals) -> Result<()> {
        let state = self.state.lock();
        let old = self.seals();
        ensure!(!old.contains(Seals::SEAL), EPERM, "sealed against seals");
        let write = seals.contains(Seals::WRITE) && !old.contains(Seals::WRITE);
        ensure!(
            !write || state.shared == 0,
            EBUSY,
            "F_SEAL_WRITE on a file with a writable mapping"
        );
        self.seals.store((old | seals).bits(), Ordering::Relaxed);
        Ok(())
    }

    // Mappings.

    /// Enters an address space that maps pages; `shared` if it may write to the file. Returns the
    /// slot for [`PageCache::unregister`]. `EPERM` if a seal forbids it.
    pub(super) fn register(&self, mm: Weak<MmCore>, shared: bool) -> Result<u32> {
        let mut state = self.state.lock();
        ensure!(
            !(shared && self.seals().contains(Seals::WRITE)),
            EPERM,
            "a shared mapping of a file sealed against writes"
        );
        let slot = match state.free_slots.pop() {
            Some(slot) => slot,
            None => {
                let grown = state.mappings.try_reserve(1).is_ok();
                let capacity = state.mappings.capacity();
                // Leaving must not need memory.
                let len = state.free_slots.len();
                let grown = grown && state.free_slots.try_reserve(capacity.saturating_sub(len)).is_ok();
                ensure!(grown, ENOMEM, "no memory to note a mapping");
                state.mappings.push(None);
                state.mappings.len() as u32 - 1
            }
        };
        state.mappings[slot as usize] = Some(mm);
        state.shared += u32::from(shared);
        Ok(slot)
    }

    /// The address space in a slot.
    pub(super) fn registered(&self, slot: u32) -> Weak<MmCore> {
        let state = self.state.lock();
        state
            .mappings
            .get(slot as usize)
            .cloned()
            .flatten()
            .unwrap_or_default()
    }

    /// Ends a mapping that [`PageCache::register`] noted.
    pub(super) fn unregister(&self, slot: u32, shared: bool) {
        let mut state = self.state.lock();
        let mm = state.mappings[slot as usize].take();
        state.free_slots.push(slot);
        state.shared -= u32::from(shared);
        drop(state);
        drop(mm);
    }

    /// Whether any address space maps the file.
    pub fn is_mapped(&self) -> bool {
        let state = self.state.lock();
        state.free_slots.len() < state.mappings.len()
    }

    /// Takes the pages of `range` out of all page tables; with `even_cows` the private copies of
    /// them too.
    fn unmap_mappings(&self, range: Range<u64>, even_cows: bool) {
        let mut slot = 0;
        loop {
            // One at a time: an `Mm` is locked without this lock. One that enters meanwhile sees
            // the new size.
            let next = {
                let state = self.state.lock();
                let rest = state.mappings.get(slot..).unwrap_or_default();
                let found = rest
                    .iter()
                    .position(|mm| mm.as_ref().is_some_and(|mm| mm.strong_count() > 0));
                found.and_then(|at| {
                    slot += at + 1;
                    state.mappings[slot - 1].clone()
                })
            };
            let Some(mm) = next else { break };
            if let Some(mm) = mm.upgrade() {
                mm.zap_cache(self, range.clone(), even_cows);
            }
        }
    }
}

impl Drop for PageCache {
    fn drop(&mut self) {
        self.remove_pages(0..u64::MAX);
    }
}
