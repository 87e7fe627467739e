//! The vDSO: user code for the clocks, and the data it reads (`vdso(7)`).
//!
//! The image is built from `vdso/` by the build script. In each address space the data pages come
//! first (`[vvar]`), then the image (`[vdso]`). The first data page holds the clock and is
//! shared by all; the second holds the offsets of a time namespace.

use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use core::sync::atomic::{Ordering, fence};

use super::layout::Placement;
use crate::cmdline::Cmdline;
use crate::error::Result;
use crate::hal::Hal;
use crate::ids::{Frame, PAGE_SIZE};
use crate::kernel::Kernel;
use crate::mm::{FrameSet, Mm, MmQuota, Prot, VVAR};
use crate::namespace::{TimeNamespace, TimeOffsets};
use crate::sync::{SpinLock, class};
use crate::time::{Timekeeper, VdsoData};

/// The shared object.
pub static IMAGE: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/vdso.so"));

/// Gives an address space the clocks of a time namespace (Linux's `vdso_join_timens`). `ENOMEM`.
pub fn join_time_ns(kernel: &Kernel, mm: &Mm, ns: &TimeNamespace) -> Result<()> {
    match &kernel.vdso {
        Some(vdso) => mm.set_vvar(vdso.vvar_for(&ns.offsets())?),
        None => Ok(()),
    }
}

/// The vDSO of one kernel.
pub struct Vdso {
    hal: Arc<dyn Hal>,
    image: Arc<FrameSet>,
    clock: Frame,
    /// Data pages of the initial time namespace.
    vvar: Arc<FrameSet>,
    /// Counts up by two with each change, odd while the page is written.
    seq: SpinLock<u32, class::Leaf>,
}

impl Vdso {
    /// Makes the vDSO and has it follow the clocks. `None` with `vdso=0` or without memory.
    pub fn start(hal: &Arc<dyn Hal>, time: &Timekeeper, cmdline: &Cmdline) -> Option<Arc<Vdso>> {
        if cmdline.value("vdso") == Some("0") {
            return None;
        }
        let vdso = Arc::new(Vdso::new(hal).ok()?);
        let publisher = vdso.clone();
        time.on_vdso_change(Arc::new(move |data| publisher.publish(data)));
        Some(vdso)
    }

    /// Copies the image into frames, which are kept as long as the kernel runs. `ENOMEM`.
    fn new(hal: &Arc<dyn Hal>) -> Result<Vdso> {
        let mut frames = Vec::new();
        let clock = hal.alloc_frame(true)?;
        for chunk in IMAGE.chunks(PAGE_SIZE) {
            let frame = hal.alloc_frame(true)?;
            hal.write_frame(frame, 0, chunk);
            frames.push(frame);
        }
        Ok(Vdso {
            hal: hal.clone(),
            image: FrameSet::new(frames),
            clock,
            vvar: FrameSet::new(vec![clock, hal.zero_page()]),
            seq: SpinLock::new(0),
        })
    }

    /// Writes the clock page. Readers that meet the change try again.
    fn publish(&self, data: &VdsoData) {
        let mut seq = self.seq.lock();
        let mut page = [0u8; 48];
        let mut put = |at: usize, bytes: &[u8]| page[at..at + bytes.len()].copy_from_slice(bytes);
        put(4, &u32::from(data.clock.is_some()).to_le_bytes());
        if let Some(clock) = &data.clock {
            put(8, &clock.base_tsc.to_le_bytes());
            put(16, &clock.base_ns.to_le_bytes());
            put(24, &clock.mult.to_le_bytes());
            put(28, &clock.shift.to_le_bytes());
        }
        put(32, &data.realtime_offset.to_le_bytes());
        put(40, &(i64::from(data.tai_offset) * 1_000_000_000).to_le_bytes());
        self.hal.write_frame(self.clock, 0, &(*seq | 1).to_le_bytes());
        fence(Ordering::SeqCst);
        self.hal.write_frame(self.clock, 4, &page[4..]);
        fence(Ordering::SeqCst);
        *seq = seq.wrapping_add(2);
        self.hal.write_frame(self.clock, 0, &seq.to_le_bytes());
    }

    /// Data pages for a time namespace with these offsets. `ENOMEM`.
    pub fn vvar_for(&self, offsets: &TimeOffsets) -> Result<Arc<FrameSet>> {
        if offsets.monotonic == 0 && offsets.boottime == 0 {
            return Ok(self.vvar.clone());
        }
        let frame = self.hal.alloc_frame(true)?;
        self.hal.write_frame(frame, 0, &offsets.monotonic.to_le_bytes());
        self.hal.write_frame(frame, 8, &offsets.boottime.to_le_bytes());
        Ok(FrameSet::with_own(vec![self.clock], frame, &self.hal))
    }

    /// Maps data and image into a new address space; returns the address of the image.
    pub(super) fn map(
        &self,
        mm: &Mm,
        who: &dyn MmQuota,
        place: &Placement<'_>,
        vvar: &Arc<FrameSet>,
    ) -> Result<u64> {
        let data = (vvar.frames().len() * PAGE_SIZE) as u64;
        let len = data + (self.image.frames().len() * PAGE_SIZE) as u64;
        let hint = place.vdso(mm.stack_end(), len);
        let at = mm.free_address(who, hint, len)?;
        mm.map_special(at, vvar.clone(), Prot::READ, VVAR)?;
        mm.map_special(at + data, self.image.clone(), Prot::READ | Prot::EXEC, "[vdso]")?;
        mm.set_layout(|layout| layout.vdso = at + data);
        Ok(at + data)
    }
}
