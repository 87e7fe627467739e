//! Handles of tmpfs: a generation and the inode number.
//!
//! As on Linux, a file can be found by its handle once somebody asked for that: it then stands in the
//! instance's [`Exports`], weakly. Dentries of tmpfs live as long as their name, so the one that was
//! asked about leads back to the path. Should that name be gone while the file has others or is open, the
//! file is shown as deleted.

use alloc::collections::BTreeMap;
use alloc::sync::{Arc, Weak};

use super::{TmpFs, TmpInode};
use crate::fs::export::{ExportOps, FileHandle, HandleType};
use crate::fs::{Dentry, INode, SuperBlock};
use crate::sync::{SpinLock, class};

struct Exported {
    inode: Weak<dyn INode>,
    dentry: Weak<Dentry>,
}

#[derive(Default)]
struct Table {
    by_number: BTreeMap<u64, Exported>,
    /// Those that are gone are swept out at this size.
    sweep_at: usize,
}

/// The files of an instance that have handles.
pub(super) struct Exports {
    /// Part of each handle, so that those of other instances lead nowhere.
    secret: u64,
    table: SpinLock<Table, class::Leaf>,
}

impl Exports {
    /// None yet. `secret` is random.
    pub fn new(secret: u64) -> Exports {
        Exports {
            secret,
            table: SpinLock::default(),
        }
    }

    fn generation(&self, number: u64) -> u32 {
        let mixed = (self.secret ^ number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (mixed >> 32) as u32
    }

    fn add(&self, number: u64, dentry: &Arc<Dentry>, inode: &Arc<dyn INode>) {
        const SMALL: usize = 64;
        let mut table = self.table.lock();
        if table.by_number.len() >= table.sweep_at.max(SMALL) {
            table
                .by_number
                .retain(|_, exported| exported.inode.strong_count() > 0);
            table.sweep_at = table.by_number.len() * 2;
        }
        table.by_number.insert(
            number,
            Exported {
                inode: Arc::downgrade(inode),
                dentry: Arc::downgrade(dentry),
            },
        );
    }

    fn find(&self, number: u64) -> Option<(Arc<dyn INode>, Option<Arc<Dentry>>)> {
        let table = self.table.lock();
        let exported = table.by_number.get(&number)?;
        Some((exported.inode.upgrade()?, exported.dentry.upgrade()))
    }
}

impl ExportOps for TmpFs {
    fn encode(&self, dentry: &Arc<Dentry>) -> Option<FileHandle> {
        let inode = dentry.inode()?;
        let number = inode.as_any().downcast_ref::<TmpInode>()?.number();
        let exports = &self.shared.exports;
        exports.add(number, dentry, inode);
        let words = [exports.generation(number), number as u32, (number >> 32) as u32];
        Some(FileHandle::new(HandleType::INO32_GEN, &words))
    }

    fn decode(&self, sb: &Arc<SuperBlock>, handle: &FileHandle) -> Option<Arc<Dentry>> {
        let &[generation, low, high, ..] = handle.words() else {
            return None;
        };
        let number = u64::from(low) | u64::from(high) << 32;
        let exports = &self.shared.exports;
        if generation != exports.generation(number) {
            return None;
        }
        let (inode, dentry) = exports.find(number)?;
        Some(dentry.unwrap_or_else(|| Dentry::unlisted(&sb.root, inode, b"")))
    }
}
