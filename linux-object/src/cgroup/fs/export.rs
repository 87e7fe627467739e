//! Handles of cgroupfs: the 64-bit id that `stat` shows as inode number (Linux's `kernfs_export_ops`).
//!
//! Programs make the handle of a cgroup from an id that a socket, a BPF program or a perf event told. A file's id
//! is a hash, so that finding a file by it looks at all of them.

use alloc::sync::Arc;
use core::any::Any;

use super::inode::CgroupDir;
use super::{CgroupFs, dentry_of};
use crate::cgroup::Cgroup;
use crate::fs::export::{ExportOps, FileHandle, HandleType};
use crate::fs::namei::lookup_one;
use crate::fs::pseudo::inode_number;
use crate::fs::{Dentry, SuperBlock, hash_name};
use crate::ids::KoID;

impl CgroupFs {
    fn dir(&self, id: u64) -> Option<Arc<Cgroup>> {
        if id == Cgroup::ROOT_ID {
            return self.hierarchy.root();
        }
        let object: Arc<dyn Any + Send + Sync> = self.kernel.upgrade()?.koids.find(KoID(id))?;
        let cgroup = object.downcast::<Cgroup>().ok()?;
        let is_here = Arc::ptr_eq(cgroup.hierarchy(), &self.hierarchy);
        (is_here && !cgroup.is_root() && !cgroup.is_dead()).then_some(cgroup)
    }

    fn file(&self, sb: &Arc<SuperBlock>, id: u64) -> Option<Arc<Dentry>> {
        let kernel = self.kernel.upgrade()?;
        for cgroup in self.hierarchy.root()?.subtree() {
            let seed = cgroup.koid().0;
            let lines = cgroup.lines();
            let line = lines
                .into_iter()
                .find(|(_, line)| inode_number(seed, line.name.as_bytes()) == id);
            if let Some((subsys, line)) = line {
                let dir = dentry_of(&kernel, sb, &cgroup);
                let inode = CgroupDir::of(&self.kernel, &cgroup);
                let name = inode.shown(subsys, line);
                return lookup_one(&dir, name, hash_name(name)).ok();
            }
        }
        None
    }
}

impl ExportOps for CgroupFs {
    fn encode(&self, dentry: &Arc<Dentry>) -> Option<FileHandle> {
        let id = dentry.inode()?.metadata().inode;
        let words = [id as u32, (id >> 32) as u32];
        Some(FileHandle::new(HandleType::KERNFS, &words))
    }

    fn decode(&self, sb: &Arc<SuperBlock>, handle: &FileHandle) -> Option<Arc<Dentry>> {
        let known = [
            HandleType::KERNFS,
            HandleType::INO32_GEN,
            HandleType::INO32_GEN_PARENT,
        ];
        let &[low, high, ..] = handle.words() else {
            return None;
        };
        if !known.contains(&handle.handle_type) {
            return None;
        }
        let id = u64::from(low) | u64::from(high) << 32;
        match self.dir(id) {
            Some(cgroup) => Some(dentry_of(&self.kernel.upgrade()?, sb, &cgroup)),
            None => self.file(sb, id).filter(|dentry| dentry.inode().is_some()),
        }
    }
}
