//! `mlock(2)`, `munlock(2)`, `mlockall(2)`.
//!
//! There is no swap: a locked page is one that was brought in.

use super::VmFlags;
use super::addr_space::{Mm, Trash};
use super::memory::MmQuota;
use super::mmap::page_align;
use super::populate::{Populate, Wanted};
use crate::cred::Capability;
use crate::error::Result;
use crate::ids::{PAGE_SHIFT, PAGE_SIZE, USER_END};
use crate::{bail, ensure};

const MLOCK_ONFAULT: u32 = 1;
const MCL_CURRENT: u32 = 1;
const MCL_FUTURE: u32 = 2;
const MCL_ONFAULT: u32 = 4;
const LOCKED: VmFlags = VmFlags::LOCKED.union(VmFlags::LOCKONFAULT);

fn lock_flags(onfault: bool) -> VmFlags {
    if onfault { LOCKED } else { VmFlags::LOCKED }
}

fn check_limit(who: &dyn MmQuota) -> Result<()> {
    ensure!(
        who.limit_memlock() != 0 || who.capable(Capability::IPC_LOCK),
        EPERM,
        "RLIMIT_MEMLOCK is 0"
    );
    Ok(())
}

impl Mm {
    /// `mlock(2)` and `mlock2(2)`, but for bringing the pages in.
    pub fn mlock(&self, who: &dyn MmQuota, addr: u64, len: u64, flags: u32) -> Result<Populate> {
        ensure!(flags & !MLOCK_ONFAULT == 0, EINVAL, "mlock2: unknown flags");
        check_limit(who)?;
        self.apply_lock(Some(who), addr, len, lock_flags(flags != 0))
    }

    /// `munlock(2)`.
    pub fn munlock(&self, addr: u64, len: u64) -> Result<()> {
        self.apply_lock(None, addr, len, VmFlags::empty()).map(drop)
    }

    fn apply_lock(&self, who: Option<&dyn MmQuota>, addr: u64, len: u64, set: VmFlags) -> Result<Populate> {
        let start = addr & !(PAGE_SIZE as u64 - 1);
        let len = len.checked_add(addr - start).and_then(page_align);
        let Some(end) = len.and_then(|len| start.checked_add(len)) else {
            bail!(EINVAL, "mlock: beyond all addresses")
        };
        let mut trash = Trash::default();
        let mut state = self.core.lock();
        if let Some(who) = who {
            let already: u64 = state
                .vmas
                .iter_range(start, end)
                .filter(|vma| vma.flags.contains(VmFlags::LOCKED))
                .map(|vma| vma.end.min(end) - vma.start.max(start))
                .sum();
            let total = (state.counts.locked << PAGE_SHIFT).saturating_add(end - start) - already;
            ensure!(
                total <= who.limit_memlock() || who.capable(Capability::IPC_LOCK),
                ENOMEM,
                "RLIMIT_MEMLOCK is reached"
            );
        }
        if start == end {
            return Ok(Populate::nothing());
        }
        ensure!(
            state.vmas.containing(start).is_some(),
            ENOMEM,
            "mlock: a part is not mapped"
        );
        // Linux stops at the first hole, with what comes before it done.
        let mut at = start;
        let mut reach = start;
        for vma in state.vmas.iter_range(start, end) {
            if vma.start > at {
                break;
            }
            at = vma.end;
            reach = at.min(end);
        }
        let changed = state.change_flags(&self.core, start..reach, &mut trash, |vma| {
            let special = vma.flags.intersects(VmFlags::PFNMAP | VmFlags::DONTEXPAND);
            Ok(if special {
                vma.flags
            } else {
                (vma.flags - LOCKED) | set
            })
        });
        drop(state);
        changed?;
        ensure!(reach == end, ENOMEM, "mlock: a part is not mapped");
        Ok(if set.contains(VmFlags::LOCKED) {
            Populate::new(start..end, Wanted::Locked)
        } else {
            Populate::nothing()
        })
    }

    /// `mlockall(2)`, but for bringing the pages in.
    pub fn mlockall(&self, who: &dyn MmQuota, flags: u32) -> Result<Populate> {
        let known = flags & !(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT) == 0;
        ensure!(
            known && flags != 0 && flags != MCL_ONFAULT,
            EINVAL,
            "mlockall: unknown flags or none"
        );
        check_limit(who)?;
        let mut trash = Trash::default();
        let mut state = self.core.lock();
        ensure!(
            flags & MCL_CURRENT == 0
                || state.counts.total <= who.limit_memlock() >> PAGE_SHIFT
                || who.capable(Capability::IPC_LOCK),
            ENOMEM,
            "RLIMIT_MEMLOCK is reached"
        );
        let set = lock_flags(flags & MCL_ONFAULT != 0);
        state.def_flags -= LOCKED;
        if flags & MCL_FUTURE != 0 {
            state.def_flags |= set;
        }
        let mut todo = Populate::nothing();
        if flags & MCL_CURRENT != 0 {
            let changed = state.change_flags(&self.core, 0..USER_END, &mut trash, |vma| {
                let special = vma.flags.intersects(VmFlags::PFNMAP | VmFlags::DONTEXPAND);
                Ok(if special {
                    vma.flags
                } else {
                    (vma.flags - LOCKED) | set
                })
            });
            if changed.is_ok() {
                todo = Populate::new(0..USER_END, Wanted::Lenient);
            }
        }
        drop(state);
        Ok(todo)
    }

    /// `munlockall(2)`.
    pub fn munlockall(&self) {
        let mut trash = Trash::default();
        let mut state = self.core.lock();
        state.def_flags -= LOCKED;
        let _ = state.change_flags(&self.core, 0..USER_END, &mut trash, |vma| Ok(vma.flags - LOCKED));
        drop(state);
    }
}
