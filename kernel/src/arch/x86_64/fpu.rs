//! The user's FPU, SSE and AVX state (Intel SDM vol. 1, 13).
//!
//! Kernel code uses no floating point and gives back the one vector register it borrows
//! (`mem.S`), so the registers hold some thread's state at all times.

use alloc::alloc::{alloc_zeroed, dealloc};
use core::alloc::Layout;
use core::arch::asm;
use core::arch::x86_64::{_fxrstor64, _fxsave64};
use core::ptr::NonNull;

use linux_object::err;
use linux_object::error::Result;

use super::features;

/// Offset of XSTATE_BV in the header.
const XSTATE_BV: usize = 512;
/// Bytes of the legacy part.
const LEGACY: usize = 512;
/// End of the header.
const HEADER_END: usize = 576;
const MXCSR: usize = 24;
/// Where the x87 registers are, then the SSE registers, then what AVX adds to those.
const X87_REGS: usize = 32;
const XMM_REGS: usize = 160;
const XMM_END: usize = 416;
const AVX_END: usize = 832;
const MXCSR_MASK: usize = 28;

/// Memory for a state in the standard form.
pub struct FpuArea(NonNull<u8>);

// SAFETY: plain memory, accessed under the rules of its thread.
unsafe impl Send for FpuArea {}
// SAFETY: as above.
unsafe impl Sync for FpuArea {}

fn layout() -> Layout {
    let size = features::get().fpu_size.max(HEADER_END);
    Layout::from_size_align(size, 64).expect("a small area")
}

impl FpuArea {
    /// An area with the state of a fresh program. `None` without memory.
    pub fn new() -> Option<FpuArea> {
        // SAFETY: the layout is not empty.
        let area = FpuArea(NonNull::new(unsafe { alloc_zeroed(layout()) })?);
        area.init();
        Some(area)
    }

    /// All components in their initial configuration. Components that XSTATE_BV does not name are
    /// initialised by `xrstor`; the control words are there for `fxrstor` and for signal frames.
    pub fn init(&self) {
        // SAFETY: the area is at least `HEADER_END` bytes and aligned.
        unsafe {
            self.0.as_ptr().write_bytes(0, HEADER_END);
            self.0.as_ptr().cast::<u16>().write(0x37f);
            self.0.as_ptr().add(MXCSR).cast::<u32>().write(0x1f80);
        }
    }

    /// Stores the registers' state, all of it.
    pub fn save_all(&self) {
        let (area, f) = (self.0.as_ptr(), features::get());
        let (low, high) = (f.xcr0 as u32, (f.xcr0 >> 32) as u32);
        // SAFETY: aligned memory of the size that XCR0 asks for.
        unsafe {
            if f.xsave {
                asm!("xsave64 [{}]", in(reg) area, in("eax") low, in("edx") high, options(nostack));
            } else {
                _fxsave64(area);
            }
        }
    }

    /// Stores what changed since this area was last loaded on this CPU.
    #[inline]
    pub fn save(&self) {
        let (area, f) = (self.0.as_ptr(), features::get());
        if !f.xsaveopt {
            return self.save_all();
        }
        let (low, high) = (f.xcr0 as u32, (f.xcr0 >> 32) as u32);
        // SAFETY: aligned memory of the size that XCR0 asks for.
        unsafe {
            asm!("xsaveopt64 [{}]", in(reg) area, in("eax") low, in("edx") high, options(nostack));
        }
    }

    /// Loads the registers.
    #[inline]
    pub fn load(&self) {
        let (area, f) = (self.0.as_ptr(), features::get());
        let (low, high) = (f.xcr0 as u32, (f.xcr0 >> 32) as u32);
        // SAFETY: the area holds a valid state: it was initialised, saved, or checked by `set`.
        unsafe {
            if f.xsave {
                asm!("xrstor64 [{}]", in(reg) area, in("eax") low, in("edx") high, options(nostack));
            } else {
                _fxrstor64(area);
            }
        }
    }

    /// Copies the state out.
    pub fn get(&self, to: &mut [u8]) {
        let len = to.len().min(features::get().fpu_size);
        // SAFETY: the area has that many bytes; only its thread uses it.
        unsafe { core::ptr::copy_nonoverlapping(self.0.as_ptr(), to.as_mut_ptr(), len) }
        if features::get().xsave && len >= HEADER_END {
            show_initial(&mut to[..len]);
        }
    }

    /// Sets the state from untrusted bytes: the whole standard form, or the legacy part alone.
    pub fn set(&self, from: &[u8]) -> Result<()> {
        let f = features::get();
        if from.len() < LEGACY {
            return Err(err!(EINVAL, "FPU state too short"));
        }
        let word = |at: usize| u32::from_le_bytes([from[at], from[at + 1], from[at + 2], from[at + 3]]);
        if word(MXCSR) & !mxcsr_mask() != 0 {
            return Err(err!(EINVAL, "reserved bits in MXCSR"));
        }
        let whole = f.xsave && from.len() >= f.fpu_size;
        if whole {
            let bv = u64::from(word(XSTATE_BV)) | u64::from(word(XSTATE_BV + 4)) << 32;
            let rest_zero = from[XSTATE_BV + 8..HEADER_END].iter().all(|&b| b == 0);
            if bv & !f.xcr0 != 0 || !rest_zero {
                return Err(err!(EINVAL, "bad xsave header"));
            }
        }
        let len = if whole { f.fpu_size } else { LEGACY };
        // SAFETY: the area has that many bytes; the header is valid or made so below.
        unsafe {
            core::ptr::copy_nonoverlapping(from.as_ptr(), self.0.as_ptr(), len);
            if !whole {
                self.0.as_ptr().add(LEGACY).write_bytes(0, HEADER_END - LEGACY);
                self.0.as_ptr().add(XSTATE_BV).write(3);
            }
        }
        Ok(())
    }
}

/// Writes the components that are in their initial configuration, which `xsaveopt` leaves as they were; XSTATE_BV says
/// which.
fn show_initial(state: &mut [u8]) {
    let in_use = state[XSTATE_BV];
    if in_use & 1 == 0 {
        state[..MXCSR].fill(0);
        state[..2].copy_from_slice(&0x37fu16.to_le_bytes());
        state[X87_REGS..XMM_REGS].fill(0);
    }
    if in_use & 2 == 0 {
        state[XMM_REGS..XMM_END].fill(0);
    }
    if in_use & 4 == 0 && state.len() >= AVX_END {
        state[HEADER_END..AVX_END].fill(0);
    }
}

impl Drop for FpuArea {
    fn drop(&mut self) {
        // SAFETY: allocated with this layout.
        unsafe { dealloc(self.0.as_ptr(), layout()) }
    }
}

/// Bits of MXCSR that this CPU allows.
fn mxcsr_mask() -> u32 {
    #[repr(C, align(64))]
    struct Legacy([u8; LEGACY]);
    let mut area = Legacy([0; LEGACY]);
    // SAFETY: aligned and large enough; reads the registers.
    unsafe { _fxsave64(area.0.as_mut_ptr()) };
    let mut word = [0; 4];
    word.copy_from_slice(&area.0[MXCSR_MASK..MXCSR_MASK + 4]);
    match u32::from_le_bytes(word) {
        0 => 0xffbf,
        mask => mask,
    }
}
