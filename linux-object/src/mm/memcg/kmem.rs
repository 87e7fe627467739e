//! Memory of the kernel's objects.

use alloc::sync::Arc;

use super::{Item, MemCgroup, MemControl};
use crate::error::Result;

/// What a kernel object costs its cgroup; the object keeps it, and its drop gives it back.
///
/// Small objects are charged by bytes, out of pages that are charged as a whole.
#[derive(Default)]
pub struct KmemCharge {
    held: Option<(Arc<MemControl>, Arc<MemCgroup>)>,
    bytes: u32,
    item: u8,
}

impl KmemCharge {
    /// For nothing.
    pub const fn none() -> KmemCharge {
        KmemCharge {
            held: None,
            bytes: 0,
            item: 0,
        }
    }
    pub(super) fn new(
        control: &Arc<MemControl>,
        memcg: &Arc<MemCgroup>,
        bytes: u32,
        item: Item,
    ) -> KmemCharge {
        KmemCharge {
            held: (!memcg.is_root()).then(|| (control.clone(), memcg.clone())),
            bytes,
            item: item as u8,
        }
    }
    /// How much.
    pub fn bytes(&self) -> u32 {
        self.bytes
    }
    /// So many bytes for something else, paid for by the same cgroup. Nobody is killed if they do not fit. `ENOMEM`.
    pub fn more(&self, bytes: usize) -> Result<KmemCharge> {
        match &self.held {
            Some((control, memcg)) => control.charge_kmem_if_fits(memcg, bytes),
            None => Ok(KmemCharge::none()),
        }
    }
    /// Gives a part back.
    pub fn shrink(&mut self, bytes: u32) {
        self.give(bytes.min(self.bytes));
    }
    /// Whether this cgroup pays.
    pub fn is_of(&self, memcg: &Arc<MemCgroup>) -> bool {
        match &self.held {
            Some((_, held)) => Arc::ptr_eq(held, memcg),
            None => memcg.is_root(),
        }
    }
    /// Takes in another charge of the same cgroup for the same kind of thing.
    pub fn join(&mut self, mut other: KmemCharge) {
        debug_assert!(self.item == other.item || self.held.is_none());
        self.bytes += core::mem::take(&mut other.bytes);
    }

    fn item(&self) -> Item {
        match self.item {
            item if item == Item::KernelStack as u8 => Item::KernelStack,
            item if item == Item::PageTables as u8 => Item::PageTables,
            item if item == Item::Sock as u8 => Item::Sock,
            _ => Item::Slab,
        }
    }
    fn give(&mut self, bytes: u32) {
        if let Some((control, memcg)) = &self.held {
            control.uncharge_kmem(memcg, bytes, self.item());
        }
        self.bytes -= bytes;
    }
}

impl Drop for KmemCharge {
    #[inline]
    fn drop(&mut self) {
        if self.held.is_some() {
            self.give(self.bytes);
        }
    }
}
