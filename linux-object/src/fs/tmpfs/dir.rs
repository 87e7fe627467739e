//! Directory entries of tmpfs.

use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;

use hashbrown::HashTable;

use super::TmpInode;
use crate::bail;
use crate::error::Result;
use crate::fs::{Dentry, DirSink, INode, Name, hash_name};
use crate::mm::Memory;
use crate::mm::memcg::{Item, KmemCharge};

struct Entry {
    hash: u64,
    /// Its place in `readdir`, never used again.
    offset: u64,
    name: Name,
    inode: Arc<TmpInode>,
    /// For itself, its name and the dentry that comes with it.
    _memory: KmemCharge,
}

/// The position behind all entries: that of the oldest is just before it.
const END: u64 = i64::MAX as u64 - 1;

/// The entries of a directory: by name, and in the order in which they were made.
pub(super) struct Entries {
    by_name: HashTable<Entry>,
    by_offset: BTreeMap<u64, Name>,
    next_offset: u64,
}

impl Default for Entries {
    fn default() -> Self {
        Entries {
            by_name: HashTable::new(),
            by_offset: BTreeMap::new(),
            next_offset: 2,
        }
    }
}

impl Entries {
    pub fn len(&self) -> usize {
        self.by_name.len()
    }

    pub fn find(&self, name: &[u8]) -> Option<&Arc<TmpInode>> {
        let hash = hash_name(name);
        let entry = self
            .by_name
            .find(hash, |entry| entry.hash == hash && entry.name[..] == *name)?;
        Some(&entry.inode)
    }

    /// What an entry costs, charged to the control group of the calling task. `ENOMEM`.
    pub fn charge(memory: &Memory, name: &[u8]) -> Result<KmemCharge> {
        let bytes = size_of::<Entry>() + size_of::<(u64, Name)>() + size_of::<Dentry>() + 3 * name.len();
        memory.control.charge_kmem(bytes, Item::Slab)
    }

    /// Adds a name that is not there, and that `memory` pays for.
    pub fn insert(&mut self, name: &[u8], inode: Arc<TmpInode>, memory: KmemCharge) -> Result<()> {
        if self.by_name.try_reserve(1, |entry| entry.hash).is_err() {
            bail!(ENOMEM, "no memory for a directory entry");
        }
        let hash = hash_name(name);
        let offset = self.next_offset;
        self.next_offset += 1;
        self.by_offset.insert(offset, Name::from_slice(name));
        self.by_name.insert_unique(
            hash,
            Entry {
                hash,
                offset,
                name: Name::from_slice(name),
                inode,
                _memory: memory,
            },
            |entry| entry.hash,
        );
        Ok(())
    }

    pub fn remove(&mut self, name: &[u8]) -> Option<Arc<TmpInode>> {
        let hash = hash_name(name);
        let Ok(entry) = self
            .by_name
            .find_entry(hash, |entry| entry.hash == hash && entry.name[..] == *name)
        else {
            return None;
        };
        let (entry, _) = entry.remove();
        self.by_offset.remove(&entry.offset);
        Some(entry.inode)
    }

    /// Lets a name that is there lead to another inode; returns the old one.
    pub fn replace(&mut self, name: &[u8], inode: Arc<TmpInode>) -> Option<Arc<TmpInode>> {
        let hash = hash_name(name);
        let entry = self
            .by_name
            .find_mut(hash, |entry| entry.hash == hash && entry.name[..] == *name)?;
        Some(core::mem::replace(&mut entry.inode, inode))
    }

    /// The entries from a position on, the newest first, as Linux's `dcache_readdir` has them.
    pub fn visit(&self, position: u64, sink: &mut DirSink<'_>) {
        let newest = END.saturating_sub(position.max(2));
        for (&at, name) in self.by_offset.range(..=newest).rev() {
            let Some(inode) = self.find(name) else { continue };
            if !sink(name, inode.number(), inode.file_type(), END - at + 1) {
                break;
            }
        }
    }

    /// Takes all inodes out.
    pub fn drain(&mut self) -> Vec<Arc<TmpInode>> {
        self.by_offset.clear();
        self.by_name.drain().map(|entry| entry.inode).collect()
    }
}
