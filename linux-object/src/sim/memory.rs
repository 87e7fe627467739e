//! Page frames and page tables in host memory.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::any::Any;
use core::ops::Range;
use std::sync::Mutex;

use crate::bail;
use crate::error::Result;
use crate::hal::{AddressSpace, FrameStats, PageFlags, Pte};
use crate::ids::{Frame, PAGE_SIZE, UserAddr};

#[derive(Default)]
struct Info {
    refs: u32,
    owner: u32,
    maps: u32,
    data: Option<Box<[u8; PAGE_SIZE]>>,
}

#[derive(Default)]
struct Table {
    frames: Vec<Info>,
    free: Vec<u32>,
    limit: usize,
}

/// All frames. Frame 0 is the zero page.
pub struct FrameTable(Mutex<Table>);

impl FrameTable {
    /// `limit` frames.
    pub fn new(limit: usize) -> FrameTable {
        let table = Table {
            frames: alloc::vec![Info::default()],
            free: Vec::new(),
            limit,
        };
        FrameTable(Mutex::new(table))
    }
    /// A frame with one reference.
    pub fn alloc(&self) -> Result<Frame> {
        let mut table = self.0.lock().unwrap();
        let nr = match table.free.pop() {
            Some(nr) => nr,
            None if table.frames.len() <= table.limit => {
                table.frames.push(Info::default());
                table.frames.len() as u32 - 1
            }
            None => bail!(ENOMEM, "no free frame"),
        };
        table.frames[nr as usize] = Info {
            refs: 1,
            owner: 0,
            maps: 0,
            data: None,
        };
        Ok(Frame(nr))
    }
    /// Changes the reference count; returns the owner when the frame became free.
    pub fn count(&self, frame: Frame, by: i32) -> Option<u32> {
        let mut table = self.0.lock().unwrap();
        let info = &mut table.frames[frame.0 as usize];
        if frame.0 == 0 {
            return None;
        }
        assert!(info.refs > 0, "a free frame is used");
        info.refs = info.refs.wrapping_add_signed(by);
        if info.refs > 0 {
            return None;
        }
        info.data = None;
        let owner = info.owner;
        table.free.push(frame.0);
        Some(owner)
    }
    /// References of a frame.
    pub fn refs(&self, frame: Frame) -> u32 {
        self.0.lock().unwrap().frames[frame.0 as usize].refs
    }
    /// The owner word.
    pub fn owner(&self, frame: Frame) -> u32 {
        self.0.lock().unwrap().frames[frame.0 as usize].owner
    }
    /// Sets it.
    pub fn set_owner(&self, frame: Frame, owner: u32) {
        self.0.lock().unwrap().frames[frame.0 as usize].owner = owner;
    }
    /// Sets it if it is `old`.
    pub fn change_owner(&self, frame: Frame, old: u32, new: u32) -> bool {
        let info = &mut self.0.lock().unwrap().frames[frame.0 as usize];
        let is = info.owner == old;
        if is {
            info.owner = new;
        }
        is
    }
    /// Counts page-table entries.
    pub fn count_maps(&self, frame: Frame, by: i32) -> u32 {
        let info = &mut self.0.lock().unwrap().frames[frame.0 as usize];
        info.maps = info
            .maps
            .checked_add_signed(by)
            .expect("unmapped more often than mapped");
        info.maps
    }
    /// Copies out.
    pub fn read(&self, frame: Frame, offset: usize, to: &mut [u8]) {
        let table = self.0.lock().unwrap();
        match &table.frames[frame.0 as usize].data {
            Some(data) => to.copy_from_slice(&data[offset..][..to.len()]),
            None => to.fill(0),
        }
    }
    /// Changes a part.
    pub fn change(&self, frame: Frame, offset: usize, len: usize, f: impl FnOnce(&mut [u8])) {
        assert!(frame.0 != 0, "the zero page is written");
        let mut table = self.0.lock().unwrap();
        let data = &mut table.frames[frame.0 as usize].data;
        let data = data.get_or_insert_with(|| Box::new([0; PAGE_SIZE]));
        f(&mut data[offset..][..len]);
    }
    /// Figures.
    pub fn stats(&self) -> FrameStats {
        let table = self.0.lock().unwrap();
        let used = table.frames.len() - 1 - table.free.len();
        FrameStats {
            total: table.limit,
            free: table.limit - used,
            ..FrameStats::default()
        }
    }
    /// Gives all memory back, at the end of a run.
    pub fn clear(&self) {
        *self.0.lock().unwrap() = Table::default();
    }
}

/// The page tables of an address space.
#[derive(Default)]
pub struct SimSpace(Mutex<BTreeMap<u64, Pte>>);

impl SimSpace {
    /// The entry that an access would use, if it is allowed.
    pub fn walk(&self, at: UserAddr, write: bool) -> Option<Pte> {
        let mut table = self.0.lock().unwrap();
        let pte = table.get_mut(&at.page().0)?;
        let needed = if write { PageFlags::WRITE } else { PageFlags::READ };
        if !pte.flags.contains(needed) {
            return None;
        }
        pte.flags |= PageFlags::ACCESSED;
        if write {
            pte.flags |= PageFlags::DIRTY;
        }
        Some(*pte)
    }
}

impl AddressSpace for SimSpace {
    fn map(&self, at: UserAddr, pte: Pte) -> Result<Option<Pte>> {
        super::request()?;
        Ok(self.0.lock().unwrap().insert(at.0, pte))
    }
    fn query(&self, at: UserAddr) -> Option<Pte> {
        self.0.lock().unwrap().get(&at.0).copied()
    }
    fn unmap(&self, range: Range<UserAddr>, each: &mut dyn FnMut(UserAddr, Pte)) {
        let removed = {
            let mut table = self.0.lock().unwrap();
            let mut tail = table.split_off(&range.start.0);
            let mut rest = tail.split_off(&range.end.0);
            table.append(&mut rest);
            tail
        };
        for (at, pte) in removed {
            each(UserAddr(at), pte);
        }
    }
    fn update(&self, range: Range<UserAddr>, each: &mut dyn FnMut(UserAddr, Pte) -> Option<PageFlags>) {
        let here: Vec<_> = {
            let table = self.0.lock().unwrap();
            table
                .range(range.start.0..range.end.0)
                .map(|(at, pte)| (*at, *pte))
                .collect()
        };
        for (at, pte) in here {
            if let Some(flags) = each(UserAddr(at), pte)
                && let Some(entry) = self.0.lock().unwrap().get_mut(&at)
            {
                entry.flags = flags;
            }
        }
    }
    fn flush(&self, _: Range<UserAddr>) {}
    fn table_pages(&self) -> usize {
        4
    }
    fn as_any(&self) -> &dyn Any {
        self
    }
}
