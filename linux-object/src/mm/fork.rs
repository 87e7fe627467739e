//! Copying an address space for `fork(2)` (Linux's `dup_mmap`).
//!
//! Areas are copied; page-table entries only where an area holds anonymous pages, since all
//! other pages come back by faults. Writable entries become read-only on both sides.

use alloc::sync::Arc;
use core::sync::atomic::Ordering;

use super::addr_space::{Mm, MmCore, MmState};
use super::charge;
use super::mmap::user_range;
use super::{VmFlags, Vma};
use crate::error::Result;
use crate::hal::{PageFlags, Pte};
use crate::ids::UserAddr;

/// What one page table maps.
const TABLE_SPAN: u64 = 1 << 21;

impl Mm {
    /// A copy. `ENOMEM`; then the parent is as before.
    pub fn fork(&self) -> Result<Arc<Mm>> {
        let child = Mm::with(&self.core.memory)?;
        let parent = &*self.core;
        child.set_dumpable(self.dumpable());
        let registered = self.membarrier.load(Ordering::Relaxed);
        child.membarrier.store(registered, Ordering::Relaxed);
        if let Some(user_ns) = self.user_ns() {
            child.set_user_ns(user_ns.clone());
        }
        let state = parent.lock();
        let mut copy = child.core.lock_child();
        copy.layout = state.layout;
        copy.exe = state.exe.clone();
        let mut protected: Option<(u64, u64)> = None;
        let mut result = Ok(());
        for vma in state.vmas.iter() {
            if vma.flags.contains(VmFlags::DONTCOPY) {
                continue;
            }
            let mut flags = vma.flags - (VmFlags::LOCKED | VmFlags::LOCKONFAULT);
            if flags.contains(VmFlags::WIPEONFORK) {
                flags -= VmFlags::HAS_ANON;
            }
            result = child.copy_area(vma, flags, &mut copy);
            if result.is_err() {
                break;
            }
            if flags.contains(VmFlags::HAS_ANON) {
                let copied = parent.copy_pages(&child.core, &mut copy, vma);
                if copied.0 {
                    let first = protected.map_or(vma.start, |(first, _)| first);
                    protected = Some((first, vma.end));
                }
                result = copied.1;
                if result.is_err() {
                    break;
                }
            }
        }
        copy.sync_tables(&child.core);
        drop(copy);
        if let Some((first, end)) = protected {
            parent.space.flush(UserAddr(first)..UserAddr(end));
        }
        drop(state);
        result.map(|()| child)
    }

    fn copy_area(&self, vma: &Vma, flags: VmFlags, state: &mut MmState) -> Result<()> {
        self.core.frames().check_reserve()?;
        let file = match &vma.file {
            None => None,
            Some(file) => Some(file.copy(self.weak())?),
        };
        let policy = vma.policy.clone();
        let copy = Vma {
            flags,
            file,
            policy,
            ..*vma
        };
        let pages = copy.pages();
        let promised = if flags.contains(VmFlags::ACCOUNT) {
            pages
        } else {
            0
        };
        let memory = &self.core.memory;
        let inserted = if memory.commit(promised, false) {
            // The parent's area keeps the file alive, should this copy be dropped here.
            let inserted = state.vmas.insert(copy);
            if inserted.is_err() {
                memory.uncommit(promised);
            }
            inserted
        } else {
            Err(crate::err!(ENOMEM, "fork: more than may be promised"))
        };
        inserted?;
        state.account(flags, pages, true);
        Ok(())
    }
}

impl MmCore {
    /// Shares the pages of a private area with a child. Returns whether entries of the parent became
    /// read-only, too.
    fn copy_pages(&self, child: &MmCore, state: &mut MmState, vma: &Vma) -> (bool, Result<()>) {
        let (mut protected, mut result) = (false, Ok(()));
        let (mut anon, mut file) = (0, 0);
        let mut charged_until = vma.start;
        self.space
            .update(user_range(&(vma.start..vma.end)), &mut |at, pte| {
                if result.is_err() {
                    return None;
                }
                if at.0 >= charged_until {
                    charged_until = (at.0 | (TABLE_SPAN - 1)) + 1;
                    if let Err(missing) = child.space.lookup(at)
                        && let Err(error) = state.charge_missing_tables(child, missing)
                    {
                        result = Err(error);
                        return None;
                    }
                }
                let flags = pte.flags - PageFlags::WRITE;
                let special = flags.contains(PageFlags::SPECIAL);
                if !special {
                    self.frames().get_frame(pte.frame);
                }
                let copy = Pte {
                    flags: flags - PageFlags::ACCESSED,
                    ..pte
                };
                match child.space.map(at, copy) {
                    Ok(_) if special => {}
                    Ok(_) if flags.contains(PageFlags::ANON) => anon += 1,
                    Ok(_) => {
                        charge::note_mapped(&self.memory, pte.frame);
                        file += 1;
                    }
                    Err(error) => {
                        result = Err(error);
                        self.put_pte(pte);
                    }
                }
                protected |= flags != pte.flags;
                (flags != pte.flags).then_some(flags)
            });
        child.count_pages(anon, file);
        (protected, result)
    }
}
