//! Where things go in a new address space, with randomness where it is wanted
//! (Linux's `arch/x86/mm/mmap.c`).

use crate::ids::{PAGE_SHIFT, PAGE_SIZE, USER_END};
use crate::mm::MmLayout;

/// `ADDR_NO_RANDOMIZE` of `personality(2)`.
const ADDR_NO_RANDOMIZE: u32 = 0x004_0000;
/// `ADDR_COMPAT_LAYOUT`.
const ADDR_COMPAT_LAYOUT: u32 = 0x020_0000;
/// `vm.mmap_rnd_bits`.
const MMAP_RND_BITS: u32 = 28;
/// Pages by which the top of the stack moves at most.
const STACK_RND_MASK: u64 = 0x3f_ffff;
/// Where position-independent programs go: two thirds up.
const ELF_ET_DYN_BASE: u64 = USER_END / 3 * 2;

/// Chooses addresses.
pub struct Placement<'a> {
    /// Gives random numbers.
    pub random: &'a dyn Fn() -> u64,
    /// `personality(2)` of the caller.
    pub personality: u32,
    /// `kernel.randomize_va_space`.
    pub randomize: i64,
    /// `RLIMIT_STACK`.
    pub limit_stack: u64,
}

pub fn page_down(addr: u64) -> u64 {
    addr & !(PAGE_SIZE as u64 - 1)
}

/// Rounds up; addresses of programs stay far below the end of numbers.
pub fn page_up(addr: u64) -> u64 {
    page_down(addr.saturating_add(PAGE_SIZE as u64 - 1))
}

impl Placement<'_> {
    /// Whether anything is random.
    pub fn randomizes(&self) -> bool {
        self.randomize > 0 && self.personality & ADDR_NO_RANDOMIZE == 0
    }

    /// A random number below 2^`bits` if anything is random, 0 otherwise.
    pub fn bits(&self, bits: u32) -> u64 {
        if self.randomizes() {
            (self.random)() & ((1 << bits) - 1)
        } else {
            0
        }
    }

    fn mmap_rnd(&self) -> u64 {
        self.bits(MMAP_RND_BITS) << PAGE_SHIFT
    }

    /// Sets where mappings go.
    pub fn choose_mmap_base(&self, layout: &mut MmLayout) {
        let rnd = self.mmap_rnd();
        let stack_rnd = if self.randomizes() {
            STACK_RND_MASK << PAGE_SHIFT
        } else {
            0
        };
        let pad = stack_rnd + (256 << PAGE_SHIFT);
        let gap = self
            .limit_stack
            .saturating_add(pad)
            .clamp(128 << 20, USER_END / 6 * 5);
        layout.mmap_base = page_up(USER_END - gap - rnd);
        layout.mmap_legacy_base = page_up(USER_END / 3) + rnd;
        layout.legacy = self.personality & ADDR_COMPAT_LAYOUT != 0;
    }

    /// The end of the stack.
    pub fn stack_top(&self) -> u64 {
        USER_END - (self.bits(22) << PAGE_SHIFT)
    }

    /// Moves the stack pointer a little below the strings.
    pub fn align_stack(&self, sp: u64) -> u64 {
        (sp - self.bits(13)) & !0xf
    }

    /// Where a position-independent program with an interpreter goes.
    pub fn dyn_base(&self) -> u64 {
        ELF_ET_DYN_BASE + self.mmap_rnd()
    }

    /// The start of the heap of a program that ends at `end`; `alone`: position-independent and
    /// without an interpreter, so it lies among the mappings and its heap goes elsewhere.
    pub fn brk(&self, end: u64, alone: bool) -> u64 {
        if !self.randomizes() || self.randomize < 2 {
            return page_up(end);
        }
        let start = if alone { ELF_ET_DYN_BASE } else { end };
        page_up(start) + (self.bits(13) << PAGE_SHIFT)
    }

    /// The vDSO of `len` bytes: above the stack, if there is room.
    pub fn vdso(&self, stack: u64, len: u64) -> u64 {
        const PMD: u64 = 2 << 20;
        let start = page_up(stack);
        let end = ((start + PMD - 1) & !(PMD - 1)).min(USER_END).saturating_sub(len);
        if end > start {
            let slots = ((end - start) >> PAGE_SHIFT) + 1;
            start + ((self.bits(22) % slots) << PAGE_SHIFT)
        } else {
            start
        }
    }
}
