//! Bringing pages in before they are touched (`MAP_POPULATE`, `mlock(2)`, `MADV_POPULATE_*`).
//!
//! Model: a call that may have many pages to bring in leaves that to its end, as a [`Populate`], and does it in
//! portions. Between two of them nothing is locked, so that the task can be killed, lets others run, and sleeps for
//! what it charged over `memory.high` before it charges more.
//!
//! Invariant: what a portion has brought in stays, whatever becomes of the next.

use core::ops::Range;

use super::addr_space::{Fault, Mm, MmCore, MmState};
use super::vma_tree::Pos;
use super::{VmFlags, Vma};
use crate::error::Result;
use crate::ids::PAGE_SIZE;
use crate::task::si_code;
use crate::{bail, ensure};

const PAGE: u64 = PAGE_SIZE as u64;
/// Pages in one portion.
const PORTION: usize = 128;

/// Which pages are wanted, and how.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Wanted {
    /// What can be had (`mmap(2)`, `mlockall(2)`).
    Lenient,
    /// All (`mlock(2)`).
    Locked,
    /// All, for reading (`MADV_POPULATE_READ`).
    Read,
    /// All, for writing (`MADV_POPULATE_WRITE`).
    Write,
}

/// Pages that are still to be brought in.
#[must_use = "nothing is brought in yet"]
#[derive(Debug)]
pub struct Populate {
    range: Range<u64>,
    wanted: Wanted,
}

impl Populate {
    pub(super) fn new(range: Range<u64>, wanted: Wanted) -> Populate {
        Populate { range, wanted }
    }
    pub(super) fn nothing() -> Populate {
        Populate::new(0..0, Wanted::Lenient)
    }
}

impl Mm {
    /// Brings a portion in. Returns whether that was the last.
    pub fn populate_some(&self, todo: &mut Populate) -> Result<bool> {
        if todo.range.is_empty() {
            return Ok(true);
        }
        let mut state = self.core.lock();
        match todo.wanted {
            Wanted::Lenient => {
                let _ = state.populate_some(&self.core, &mut todo.range, true);
            }
            Wanted::Locked => match state.populate_some(&self.core, &mut todo.range, false) {
                Ok(()) => {}
                Err(Fault::Oom) => bail!(EAGAIN, "mlock: no memory for all pages"),
                Err(_) => bail!(ENOMEM, "mlock: a page cannot be had"),
            },
            Wanted::Read | Wanted::Write => {
                let write = todo.wanted == Wanted::Write;
                for _ in 0..PORTION {
                    if todo.range.is_empty() {
                        break;
                    }
                    state.populate_advised(&self.core, todo.range.start, write)?;
                    todo.range.start += PAGE;
                }
            }
        }
        Ok(todo.range.is_empty())
    }

    /// Brings all in at once: for little.
    pub fn populate(&self, mut todo: Populate) -> Result<()> {
        while !self.populate_some(&mut todo)? {}
        Ok(())
    }
}

impl MmState {
    fn populate_advised(&mut self, core: &MmCore, at: u64, write: bool) -> Result<()> {
        let needed = if write { VmFlags::WRITE } else { VmFlags::READ };
        let Some(pos) = self.vmas.find(at).filter(|&pos| self.vmas.get(pos).start <= at) else {
            bail!(ENOMEM, "MADV_POPULATE: not mapped")
        };
        let vma = self.vmas.get(pos);
        ensure!(
            vma.flags.contains(needed) && !vma.flags.contains(VmFlags::PFNMAP),
            EINVAL,
            "MADV_POPULATE: the mapping does not allow it"
        );
        match self.fault_page(core, pos, at, write) {
            Ok(()) => Ok(()),
            Err(Fault::Oom) => bail!(ENOMEM, "MADV_POPULATE: no memory"),
            Err(_) => bail!(EFAULT, "MADV_POPULATE: the page cannot be had"),
        }
    }

    /// Brings pages in (Linux's `populate_vma_page_range`): writable private ones as copies of their
    /// own. With `lenient`, what can be.
    pub(super) fn populate(
        &mut self,
        core: &MmCore,
        mut range: Range<u64>,
        lenient: bool,
    ) -> Result<(), Fault> {
        while !range.is_empty() {
            self.populate_some(core, &mut range, lenient)?;
        }
        Ok(())
    }

    /// Likewise, one portion, which is taken off the range.
    fn populate_some(&mut self, core: &MmCore, range: &mut Range<u64>, lenient: bool) -> Result<(), Fault> {
        let mut left = PORTION;
        while left > 0 && !range.is_empty() {
            let Some(pos) = self.vmas.find(range.start) else {
                range.start = range.end;
                break;
            };
            let vma = self.vmas.get(pos);
            let (flags, end) = (vma.flags, vma.end.min(range.end));
            range.start = range.start.max(vma.start).min(range.end);
            if range.is_empty() {
                break;
            }
            if flags.intersects(VmFlags::PFNMAP | VmFlags::LOCKONFAULT) {
                range.start = end;
                continue;
            }
            left -= 1;
            match self.populate_page(core, pos, range.start) {
                Ok(()) => range.start += PAGE,
                Err(error) if !lenient => return Err(error),
                // More would not come in either.
                Err(Fault::Oom) => range.start = range.end,
                Err(_) => range.start = end,
            }
        }
        Ok(())
    }

    fn populate_page(&mut self, core: &MmCore, pos: Pos, at: u64) -> Result<(), Fault> {
        let vma: &Vma = self.vmas.get(pos);
        if !vma.flags.accessible() {
            return Err(Fault::Segv(si_code::SEGV_ACCERR));
        }
        let write = vma.flags.contains(VmFlags::WRITE) && !vma.flags.contains(VmFlags::SHARED);
        self.fault_page(core, pos, at, write)
    }
}
