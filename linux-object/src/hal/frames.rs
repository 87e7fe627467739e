//! Physical page frames.

use crate::ensure;
use crate::error::Result;
use crate::ids::Frame;

/// How much memory there is, in pages.
#[derive(Clone, Copy, Default, Debug)]
pub struct FrameStats {
    /// Usable frames at boot, those of the kernel's own data included.
    pub total: usize,
    /// Frames that `alloc` can still give.
    pub free: usize,
    /// Frames that hold page tables.
    pub page_tables: usize,
    /// Frames that hold kernel stacks.
    pub kernel_stacks: usize,
    /// Frames that the kernel heap holds.
    pub heap: usize,
}

/// Reference-counted page frames, and access to what they hold.
///
/// Each frame has a count and an *owner* word, which the memory controller uses to know whom to
/// uncharge. Contents are reached only through copies, so user space may write to a mapped frame at
/// any time. Offsets and lengths stay within the frame; anything else panics (a kernel bug).
pub trait Frames {
    /// A frame with count 1 and owner 0, filled with zeros if asked. `ENOMEM` when only the
    /// reserve is left that the kernel's own objects may use.
    fn alloc_frame(&self, zeroed: bool) -> Result<Frame>;
    /// One more reference.
    fn get_frame(&self, frame: Frame);
    /// One reference less. When it was the last, the frame is free and its owner word is returned.
    fn put_frame(&self, frame: Frame) -> Option<u32>;
    /// The number of references.
    fn frame_refs(&self, frame: Frame) -> u32;
    /// The owner word.
    fn frame_owner(&self, frame: Frame) -> u32;
    /// Sets the owner word.
    fn set_frame_owner(&self, frame: Frame, owner: u32);
    /// Sets it to `new` if it is `old`; whether it was.
    fn change_frame_owner(&self, frame: Frame, old: u32, new: u32) -> bool;
    /// Adds to the number of page-table entries that its user keeps for a frame, 0 for a new one; what it is
    /// then.
    fn count_frame_maps(&self, frame: Frame, by: i32) -> u32;
    /// Copies out of a frame.
    fn read_frame(&self, frame: Frame, offset: usize, to: &mut [u8]);
    /// Copies into a frame.
    fn write_frame(&self, frame: Frame, offset: usize, from: &[u8]);
    /// Fills a part of a frame with zeros.
    fn zero_frame(&self, frame: Frame, offset: usize, len: usize);
    /// Copies a whole frame.
    fn copy_frame(&self, from: Frame, to: Frame);
    /// The frame that is always zero and never written. Its count is not kept.
    fn zero_page(&self) -> Frame;
    /// Whether the kernel's own objects have used up a good part of the reserve: before more of them are
    /// made, something has to be given back.
    fn reserve_is_low(&self) -> bool {
        false
    }
    /// `ENOMEM` while the reserve is low. For loops that make objects for as long as user space likes: they look
    /// each time round.
    fn check_reserve(&self) -> Result<()> {
        ensure!(!self.reserve_is_low(), ENOMEM, "the kernel's own memory is low");
        Ok(())
    }
    /// Figures for `/proc/meminfo`.
    fn frame_stats(&self) -> FrameStats;
}
