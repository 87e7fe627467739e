//! A machine of plain data for the tests of this module: frames and page tables, nothing that runs.
//!
//! It checks what a real machine cannot: that no frame is freed or handed out while an entry for
//! it may still be in a TLB, that no reference is lost or given back twice.

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::any::Any;
use core::ops::Range;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::Mutex;

use super::{Memory, MmQuota};
use crate::cred::Capability;
use crate::err;
use crate::error::Result;
use crate::hal::*;
use crate::ids::{CpuId, Frame, PAGE_SIZE, USER_END, UserAddr};
use crate::sysctl::Sysctls;
use crate::time::{Ktime, Timekeeper};

struct Page {
    refs: u32,
    owner: u32,
    maps: u32,
    data: Box<[u8; PAGE_SIZE]>,
}

#[derive(Default)]
struct Pages {
    frames: Vec<Page>,
    free: Vec<u32>,
    /// Frames that some TLB may still lead to.
    stale: BTreeMap<(u32, u64), Frame>,
}

/// The machine.
pub(crate) struct TestHal {
    pages: Mutex<Pages>,
    limit: AtomicU32,
    spaces: AtomicU32,
    clock: AtomicU64,
    /// The CPU that the test plays.
    cpu: AtomicU32,
    me: std::sync::Weak<TestHal>,
}

/// A machine with so many frames.
pub(crate) fn machine(frames: u32) -> Arc<TestHal> {
    let hal = Arc::new_cyclic(|me| TestHal {
        pages: Mutex::default(),
        limit: AtomicU32::new(frames),
        spaces: AtomicU32::new(0),
        clock: AtomicU64::new(1),
        cpu: AtomicU32::new(0),
        me: me.clone(),
    });
    let _zero = hal.alloc_frame(true);
    hal
}

/// A machine and its memory.
pub(crate) fn memory(frames: u32) -> (Arc<TestHal>, Arc<Memory>) {
    let hal = machine(frames);
    let port: Arc<dyn Hal> = hal.clone();
    let time = Arc::new(Timekeeper::new(port.clone()));
    (hal, Memory::new(port, Arc::new(Sysctls::default()), time))
}

impl TestHal {
    /// Frames in use, but for the zero page.
    pub fn used(&self) -> usize {
        let pages = self.pages.lock().unwrap();
        pages.frames.len() - pages.free.len() - 1
    }
    /// Goes on as another CPU, of four.
    pub fn set_cpu(&self, cpu: u32) {
        self.cpu.store(cpu, Ordering::Relaxed);
    }
    /// Frames that there are.
    pub fn set_limit(&self, frames: u32) {
        self.limit.store(frames, Ordering::Relaxed);
    }
}

impl Frames for TestHal {
    fn alloc_frame(&self, zeroed: bool) -> Result<Frame> {
        let mut pages = self.pages.lock().unwrap();
        let fill = if zeroed { 0 } else { 0xa5 };
        if pages.frames.len() - pages.free.len() >= self.limit.load(Ordering::Relaxed) as usize {
            return Err(err!(ENOMEM));
        }
        let frame = match pages.free.pop() {
            Some(frame) => frame,
            None => {
                pages.frames.push(Page {
                    refs: 0,
                    owner: 0,
                    maps: 0,
                    data: Box::new([0; PAGE_SIZE]),
                });
                pages.frames.len() as u32 - 1
            }
        };
        let page = &mut pages.frames[frame as usize];
        assert_eq!(page.refs, 0);
        page.refs = 1;
        page.maps = 0;
        page.data.fill(fill);
        Ok(Frame(frame))
    }
    fn get_frame(&self, frame: Frame) {
        let page = &mut self.pages.lock().unwrap().frames[frame.0 as usize];
        assert!(page.refs > 0);
        page.refs += 1;
    }
    fn put_frame(&self, frame: Frame) -> Option<u32> {
        let mut pages = self.pages.lock().unwrap();
        let page = &mut pages.frames[frame.0 as usize];
        assert!(page.refs > 0, "a frame was given back twice");
        page.refs -= 1;
        if page.refs > 0 {
            return None;
        }
        let stale = pages.stale.iter().find(|(_, old)| **old == frame);
        assert!(stale.is_none(), "a frame was freed before the flush: {stale:?}");
        let owner = core::mem::take(&mut pages.frames[frame.0 as usize].owner);
        pages.free.push(frame.0);
        Some(owner)
    }
    fn frame_refs(&self, frame: Frame) -> u32 {
        self.pages.lock().unwrap().frames[frame.0 as usize].refs
    }
    fn frame_owner(&self, frame: Frame) -> u32 {
        self.pages.lock().unwrap().frames[frame.0 as usize].owner
    }
    fn set_frame_owner(&self, frame: Frame, owner: u32) {
        self.pages.lock().unwrap().frames[frame.0 as usize].owner = owner;
    }
    fn change_frame_owner(&self, frame: Frame, old: u32, new: u32) -> bool {
        let page = &mut self.pages.lock().unwrap().frames[frame.0 as usize];
        let is = page.owner == old;
        if is {
            page.owner = new;
        }
        is
    }
    fn count_frame_maps(&self, frame: Frame, by: i32) -> u32 {
        let page = &mut self.pages.lock().unwrap().frames[frame.0 as usize];
        page.maps = page
            .maps
            .checked_add_signed(by)
            .expect("unmapped more often than mapped");
        page.maps
    }
    fn read_frame(&self, frame: Frame, offset: usize, to: &mut [u8]) {
        let pages = self.pages.lock().unwrap();
        let page = &pages.frames[frame.0 as usize];
        assert!(page.refs > 0);
        to.copy_from_slice(&page.data[offset..offset + to.len()]);
    }
    fn write_frame(&self, frame: Frame, offset: usize, from: &[u8]) {
        assert_ne!(frame, self.zero_page());
        let mut pages = self.pages.lock().unwrap();
        let page = &mut pages.frames[frame.0 as usize];
        assert!(page.refs > 0);
        page.data[offset..offset + from.len()].copy_from_slice(from);
    }
    fn zero_frame(&self, frame: Frame, offset: usize, len: usize) {
        let zeros = alloc::vec![0; len];
        self.write_frame(frame, offset, &zeros);
    }
    fn copy_frame(&self, from: Frame, to: Frame) {
        let mut data = [0; PAGE_SIZE];
        self.read_frame(from, 0, &mut data);
        self.write_frame(to, 0, &data);
    }
    fn zero_page(&self) -> Frame {
        Frame(0)
    }
    fn frame_stats(&self) -> FrameStats {
        FrameStats {
            total: self.limit.load(Ordering::Relaxed) as usize,
            ..FrameStats::default()
        }
    }
}

struct TestSpace {
    hal: Arc<TestHal>,
    id: u32,
    entries: Mutex<BTreeMap<u64, Pte>>,
    tables: Mutex<BTreeSet<u64>>,
}

impl TestSpace {
    fn stale(&self, at: u64, frame: Frame) {
        self.hal.pages.lock().unwrap().stale.insert((self.id, at), frame);
    }
}

impl AddressSpace for TestSpace {
    fn map(&self, at: UserAddr, pte: Pte) -> Result<Option<Pte>> {
        assert!(at.0 < USER_END && at.0.is_multiple_of(PAGE_SIZE as u64));
        let hal = &self.hal;
        if !self.tables.lock().unwrap().contains(&(at.0 >> 21)) {
            // A table takes memory, too.
            let frame = hal.alloc_frame(true)?;
            hal.put_frame(frame);
            self.tables.lock().unwrap().insert(at.0 >> 21);
        }
        let old = self.entries.lock().unwrap().insert(at.0, pte);
        if let Some(old) = old
            && (old.frame != pte.frame || !pte.flags.contains(old.flags))
        {
            self.stale(at.0, old.frame);
        }
        Ok(old)
    }
    fn query(&self, at: UserAddr) -> Option<Pte> {
        self.entries.lock().unwrap().get(&at.0).copied()
    }
    fn lookup(&self, at: UserAddr) -> core::result::Result<Option<Pte>, usize> {
        let table = self.tables.lock().unwrap().contains(&(at.0 >> 21));
        table.then(|| self.query(at)).ok_or(1)
    }
    fn unmap(&self, range: Range<UserAddr>, each: &mut dyn FnMut(UserAddr, Pte)) {
        let whole = range.start.0 == 0 && range.end.0 == USER_END;
        let gone: Vec<_> = {
            let mut entries = self.entries.lock().unwrap();
            entries
                .extract_if(range.start.0..range.end.0, |_, _| true)
                .collect()
        };
        for (at, pte) in gone {
            if !whole {
                self.stale(at, pte.frame);
            }
            each(UserAddr(at), pte);
        }
    }
    fn update(&self, range: Range<UserAddr>, each: &mut dyn FnMut(UserAddr, Pte) -> Option<PageFlags>) {
        let present: Vec<_> = {
            let entries = self.entries.lock().unwrap();
            entries
                .range(range.start.0..range.end.0)
                .map(|(&at, &pte)| (at, pte))
                .collect()
        };
        for (at, pte) in present {
            if let Some(flags) = each(UserAddr(at), pte) {
                if !flags.contains(pte.flags) {
                    self.stale(at, pte.frame);
                }
                self.entries.lock().unwrap().insert(at, Pte { flags, ..pte });
            }
        }
    }
    fn flush(&self, range: Range<UserAddr>) {
        let mut pages = self.hal.pages.lock().unwrap();
        let id = self.id;
        pages
            .stale
            .retain(|&(space, at), _| space != id || !(range.start.0..range.end.0).contains(&at));
    }
    fn table_pages(&self) -> usize {
        self.tables.lock().unwrap().len()
    }
    fn as_any(&self) -> &dyn Any {
        self
    }
}

impl Hal for TestHal {
    fn new_address_space(&self) -> Result<Arc<dyn AddressSpace>> {
        Ok(Arc::new(TestSpace {
            hal: self.me.upgrade().unwrap(),
            id: self.spaces.fetch_add(1, Ordering::Relaxed),
            entries: Mutex::default(),
            tables: Mutex::default(),
        }))
    }
}

impl Clock for TestHal {
    fn now(&self) -> Ktime {
        Ktime(self.clock.fetch_add(1, Ordering::Relaxed))
    }
    fn boot_realtime(&self) -> u64 {
        1_000_000_000_000
    }
    fn set_timer(&self, _deadline: Option<Ktime>) {}
    fn vdso_clock(&self) -> Option<VdsoClock> {
        None
    }
}

impl Cpu for TestHal {
    fn current_cpu(&self) -> CpuId {
        CpuId(self.cpu.load(Ordering::Relaxed))
    }
    fn nr_cpus(&self) -> usize {
        4
    }
    fn kick(&self, _cpu: CpuId) {}
    fn idle(&self) {}
    fn poll_interrupts(&self) {}
    fn relax(&self) {}
}

impl Switch for TestHal {
    fn new_thread(&self, _entry: Entry) -> Result<Arc<dyn MachineThread>> {
        Err(err!(ENOMEM))
    }
    fn boot_thread(&self) -> Arc<dyn MachineThread> {
        unreachable!("nothing runs here")
    }
    fn switch(&self, _prev: &Arc<dyn MachineThread>, _next: &Arc<dyn MachineThread>) {}
    fn activate(&self, _space: Option<&Arc<dyn AddressSpace>>) {}
}

impl Console for TestHal {
    fn console_write(&self, _bytes: &[u8]) {}
}

impl Nics for TestHal {}

impl Entropy for TestHal {
    fn entropy(&self, out: &mut [u8]) {
        out.fill(7);
    }
}

impl Power for TestHal {
    fn power_off(&self) -> ! {
        unreachable!("nothing runs here")
    }
    fn restart(&self) -> ! {
        unreachable!("nothing runs here")
    }
    fn halt(&self) -> ! {
        unreachable!("nothing runs here")
    }
}

impl UserMemory for TestHal {
    fn run_user(&self, _regs: &mut UserRegs, _clock: &crate::hal::UserClock) -> Trap {
        unreachable!("nothing runs here")
    }
    fn copy_from_user(&self, _to: &mut [u8], _from: UserAddr) -> Result<()> {
        Err(err!(EFAULT))
    }
    fn copy_to_user(&self, _to: UserAddr, _from: &[u8]) -> Result<()> {
        Err(err!(EFAULT))
    }
    fn strncpy_from_user(&self, _to: &mut [u8], _from: UserAddr) -> Result<(usize, bool)> {
        Err(err!(EFAULT))
    }
    fn clear_user(&self, _to: UserAddr, _len: usize) -> Result<()> {
        Err(err!(EFAULT))
    }
    fn frame_to_user(&self, _frame: Frame, _offset: usize, _to: UserAddr, _len: usize) -> Result<()> {
        Err(err!(EFAULT))
    }
    fn user_to_frame(&self, _from: UserAddr, _frame: Frame, _offset: usize, _len: usize) -> Result<()> {
        Err(err!(EFAULT))
    }
    fn load_user_u32(&self, _at: UserAddr) -> Result<u32> {
        Err(err!(EFAULT))
    }
    fn cmpxchg_user_u32(&self, _at: UserAddr, _old: u32, _new: u32) -> Result<u32> {
        Err(err!(EFAULT))
    }
}

/// Limits for tests.
#[derive(Clone, Copy)]
pub(crate) struct Limits {
    pub limit_as: u64,
    pub data: u64,
    pub stack: u64,
    pub memlock: u64,
    pub root: bool,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            limit_as: u64::MAX,
            data: u64::MAX,
            stack: 8 << 20,
            memlock: u64::MAX,
            root: false,
        }
    }
}

impl MmQuota for Limits {
    fn limit_as(&self) -> u64 {
        self.limit_as
    }
    fn limit_data(&self) -> u64 {
        self.data
    }
    fn limit_stack(&self) -> u64 {
        self.stack
    }
    fn limit_memlock(&self) -> u64 {
        self.memlock
    }
    fn capable(&self, _cap: Capability) -> bool {
        self.root
    }
}
