//! Page tables of one user address space.

use core::any::Any;
use core::ops::Range;

use crate::error::Result;
use crate::ids::{Frame, UserAddr};

bitflags::bitflags! {
    /// What a page-table entry allows and what the CPU noted in it.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    pub struct PageFlags: u32 {
        /// User code may read. A page without it is present in the table but faults.
        const READ = 1 << 0;
        /// User code may write.
        const WRITE = 1 << 1;
        /// User code may execute.
        const EXEC = 1 << 2;
        /// The CPU wrote through this entry.
        const DIRTY = 1 << 3;
        /// The CPU used this entry.
        const ACCESSED = 1 << 4;
        /// The frame is not reference-counted (zero page, vDSO).
        const SPECIAL = 1 << 5;
        /// The page is anonymous memory of this process, not a page of a file.
        const ANON = 1 << 6;
    }
}

/// A page-table entry.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Pte {
    /// What is mapped.
    pub frame: Frame,
    /// How.
    pub flags: PageFlags,
}

/// The page tables. All addresses are page-aligned and below `USER_END`.
///
/// Callers hold the `Mm` lock of the owner, so calls on one address space do not overlap; faults
/// of the hardware do. Nothing here counts references: the caller does, for every entry it puts in
/// or is given back. After `unmap`, `protect` or an overwriting `map`, other CPUs may use the
/// old entry until [`AddressSpace::flush`] has returned.
pub trait AddressSpace: Any + Send + Sync {
    /// Sets the entry at `at`. `ENOMEM` if a table cannot be made. Returns the entry that was there.
    fn map(&self, at: UserAddr, pte: Pte) -> Result<Option<Pte>>;
    /// The entry at `at`.
    fn query(&self, at: UserAddr) -> Option<Pte>;
    /// Likewise; or, if tables lack for one, how many.
    fn lookup(&self, at: UserAddr) -> core::result::Result<Option<Pte>, usize> {
        Ok(self.query(at))
    }
    /// Removes every entry in the range, in order, and hands it to `each`; empty tables are freed
    /// with the address space or when the whole table was covered.
    fn unmap(&self, range: Range<UserAddr>, each: &mut dyn FnMut(UserAddr, Pte));
    /// Visits every entry in the range in order; what `each` returns replaces the flags
    /// (`None`: left as it is).
    fn update(&self, range: Range<UserAddr>, each: &mut dyn FnMut(UserAddr, Pte) -> Option<PageFlags>);
    /// Makes sure that no CPU uses an old entry for the range any more. Waits for other CPUs only
    /// while it serves their requests; call it with the `Mm` lock held.
    fn flush(&self, range: Range<UserAddr>);
    /// Pages of page tables in use (for `VmPTE` and charging).
    fn table_pages(&self) -> usize;
    /// For the implementation to find itself again.
    fn as_any(&self) -> &dyn Any;
}
