//! cgroupfs: a hierarchy as directories and files (Linux's kernfs side of cgroups).
//!
//! Model: a directory is a cgroup, its files are the lines of the tables that apply to it now.
//! Inodes are made when somebody looks and shared while in use; what `chown`, `chmod` and `setxattr` change
//! is kept in the cgroup's [`Nodes`]. A superblock shows a whole hierarchy; a mount in a cgroup
//! namespace begins at that namespace's root.
//!
//! Names come and go on their own, so nothing is cached and the VFS holds no lock when it calls: the
//! calls that change something take [`CgroupMembership`](super::CgroupMembership).

mod file;
mod inode;
mod node;
mod options;

pub use inode::CgroupDir;
pub use node::{NodeOwner, Nodes};

use alloc::string::String;
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::sync::atomic::Ordering;

use self::options::{LegacyOptions, parse_dfl};
use super::membership::Root;
use super::{Cgroup, CgroupFlags, CgroupMembership, Hierarchy, SubsysId, SubsysMask};
use crate::cred::Capability;
use crate::error::Result;
use crate::fs::{
    Dentry, FileSystem, FileSystemType, FsInfo, INode, MountRequest, OpenFile, SuperBlock, hash_name,
};
use crate::kernel::Kernel;
use crate::task::Task;
use crate::{bail, ensure, err};

const CGROUP_SUPER_MAGIC: u64 = 0x0027_e0eb;
const CGROUP2_SUPER_MAGIC: u64 = 0x6367_7270;

/// The content of a superblock.
pub struct CgroupFs {
    kernel: Weak<Kernel>,
    hierarchy: Arc<Hierarchy>,
    root: Arc<CgroupDir>,
}

impl CgroupFs {
    fn superblock(kernel: &Arc<Kernel>, root: &Arc<Cgroup>, sb_flags: u32) -> Result<Arc<SuperBlock>> {
        let hierarchy = root.hierarchy();
        if let Some(sb) = hierarchy.sb.lock().upgrade() {
            return Ok(sb);
        }
        let fs = Arc::new(CgroupFs {
            kernel: Arc::downgrade(kernel),
            hierarchy: hierarchy.clone(),
            root: CgroupDir::of(&Arc::downgrade(kernel), root),
        });
        let sb = SuperBlock::new(kernel, fs, kernel.init_user_ns.clone(), sb_flags)?;
        *hierarchy.sb.lock() = Arc::downgrade(&sb);
        Ok(sb)
    }
}

impl FileSystem for CgroupFs {
    fn name(&self) -> &'static str {
        if self.hierarchy.on_dfl() {
            "cgroup2"
        } else {
            "cgroup"
        }
    }
    fn root_inode(&self) -> Arc<dyn INode> {
        self.root.clone()
    }
    fn info(&self) -> FsInfo {
        FsInfo {
            magic: if self.hierarchy.on_dfl() {
                CGROUP2_SUPER_MAGIC
            } else {
                CGROUP_SUPER_MAGIC
            },
            block_size: 4096,
            name_max: 255,
            ..FsInfo::default()
        }
    }
    fn show_options(&self, out: &mut String) {
        options::show(&self.hierarchy, out);
    }
    fn reconfigure(&self, text: &[u8]) -> Result<()> {
        let kernel = self.kernel.upgrade().ok_or(err!(ENODEV))?;
        if self.hierarchy.on_dfl() {
            let flags = parse_dfl(text)?;
            if kernel.sched.try_current().is_some_and(|task| in_init_ns(&task)) {
                self.hierarchy.set_flags(flags);
            }
            return Ok(());
        }
        let options = LegacyOptions::parse(text)?;
        let mut membership = kernel.cgroups.lock();
        let same_flags = options.flags == self.hierarchy.flags();
        let same_name = options.name.as_deref().unwrap_or_default() == self.hierarchy.name();
        ensure!(
            same_flags && (same_name || options.name.is_none()),
            EINVAL,
            "cgroup: flags and name of a hierarchy do not change"
        );
        let root = self.hierarchy.root().ok_or(err!(ENODEV))?;
        let old = self.hierarchy.subsys_mask();
        ensure!(
            options.subsys == old || !root.has_children(),
            EBUSY,
            "cgroup: there are cgroups"
        );
        membership.rebind(&root, options.subsys.without(old))?;
        let dfl = membership.hierarchies[0].cgroup.clone();
        membership.rebind(&dfl, old.without(options.subsys))
    }
    fn cacheable(&self) -> bool {
        false
    }
    fn mount_root_name(&self, root: &Arc<dyn INode>) -> Option<Vec<u8>> {
        let dir = root.as_any().downcast_ref::<CgroupDir>()?;
        let reader = self.kernel.upgrade()?.sched.try_current()?;
        let from = reader.try_nsproxy()?.cgroup_ns.root(&self.hierarchy)?;
        Some(dir.cgroup().path_from(&from))
    }
}

impl Drop for CgroupFs {
    /// A v1 hierarchy without cgroups ends with its last mount. That needs the lock of all hierarchies, which
    /// may not be taken here: whoever takes it next does it.
    fn drop(&mut self) {
        self.hierarchy.shared.unmounted.store(true, Ordering::Release);
    }
}

fn in_init_ns(task: &Task) -> bool {
    task.try_nsproxy()
        .is_some_and(|nsproxy| nsproxy.cgroup_ns.is_initial())
}

/// The cgroup behind an open directory (`CLONE_INTO_CGROUP`): `EBADF` if it is no directory of cgroup2,
/// `ENODEV` if that is gone.
pub fn cgroup_of(file: &OpenFile) -> Result<Arc<Cgroup>> {
    let dir = file.inode.as_any().downcast_ref::<CgroupDir>();
    let dir = dir.ok_or(err!(EBADF, "clone3: the descriptor is no cgroup directory"))?;
    let cgroup = dir.cgroup();
    ensure!(!cgroup.is_dead(), ENODEV, "clone3: the cgroup is gone");
    ensure!(cgroup.on_dfl(), EBADF, "clone3: the directory is not of cgroup2");
    Ok(cgroup.clone())
}

/// The dentry of a cgroup below the superblock's root.
fn dentry_of(kernel: &Arc<Kernel>, sb: &Arc<SuperBlock>, cgroup: &Arc<Cgroup>) -> Arc<Dentry> {
    let mut chain: Vec<&Arc<Cgroup>> = cgroup.self_and_ancestors().filter(|at| !at.is_root()).collect();
    chain.reverse();
    let mut dentry = sb.root.clone();
    for at in chain {
        let name = at.name();
        let hash = hash_name(&name);
        dentry = dentry.cached_child(&name, hash).unwrap_or_else(|| {
            let inode = CgroupDir::of(&Arc::downgrade(kernel), at);
            dentry.add_child(&name, hash, Some(inode))
        });
    }
    dentry
}

/// What the caller's mount shows: the root of its cgroup namespace.
fn mount_root(request: &MountRequest<'_>, sb: &Arc<SuperBlock>, hierarchy: &Arc<Hierarchy>) -> Arc<Dentry> {
    let ns = &request.task.nsproxy().cgroup_ns;
    match ns.root(hierarchy) {
        Some(root) if !root.is_root() => dentry_of(request.task.kernel(), sb, &root),
        _ => sb.root.clone(),
    }
}

fn hierarchy_of(sb: &SuperBlock) -> Option<Arc<Hierarchy>> {
    let fs: &dyn core::any::Any = &*sb.fs;
    Some(fs.downcast_ref::<CgroupFs>()?.hierarchy.clone())
}

fn may_mount(request: &MountRequest<'_>) -> Result<()> {
    let owner = request.task.nsproxy().cgroup_ns.user_ns().clone();
    ensure!(
        request.cred.ns_capable(&owner, Capability::SYS_ADMIN),
        EPERM,
        "cgroup: no CAP_SYS_ADMIN in the owner of the cgroup namespace"
    );
    Ok(())
}

/// `mount -t cgroup2`.
pub struct Cgroup2Type;

impl FileSystemType for Cgroup2Type {
    fn name(&self) -> &'static str {
        "cgroup2"
    }
    fn userns_mount(&self) -> bool {
        true
    }
    fn mount(&self, request: &MountRequest<'_>) -> Result<Arc<SuperBlock>> {
        let flags = parse_dfl(request.options)?;
        may_mount(request)?;
        let kernel = request.task.kernel();
        let root = kernel.cgroups.dfl_root();
        let sb = CgroupFs::superblock(kernel, root, request.sb_flags)?;
        root.hierarchy().shared.dfl_visible.store(true, Ordering::Relaxed);
        if in_init_ns(request.task) {
            root.hierarchy().set_flags(flags);
        }
        Ok(sb)
    }
    fn mount_root(&self, request: &MountRequest<'_>, sb: &Arc<SuperBlock>) -> Arc<Dentry> {
        match hierarchy_of(sb) {
            Some(hierarchy) => mount_root(request, sb, &hierarchy),
            None => sb.root.clone(),
        }
    }
}

/// `mount -t cgroup`.
pub struct CgroupType;

impl FileSystemType for CgroupType {
    fn name(&self) -> &'static str {
        "cgroup"
    }
    fn userns_mount(&self) -> bool {
        true
    }
    fn mount(&self, request: &MountRequest<'_>) -> Result<Arc<SuperBlock>> {
        let options = LegacyOptions::parse(request.options)?;
        may_mount(request)?;
        let kernel = request.task.kernel();
        let mut membership = kernel.cgroups.lock();
        let root = match membership.find_legacy(&options)? {
            Some(root) => root,
            None => {
                options.check_new()?;
                ensure!(
                    in_init_ns(request.task),
                    EPERM,
                    "cgroup: hierarchies are made in the initial cgroup namespace"
                );
                membership.create_legacy(kernel, &options)?
            }
        };
        CgroupFs::superblock(kernel, &root, request.sb_flags)
    }
    fn mount_root(&self, request: &MountRequest<'_>, sb: &Arc<SuperBlock>) -> Arc<Dentry> {
        Cgroup2Type.mount_root(request, sb)
    }
}

impl CgroupMembership {
    /// The v1 hierarchy that these options mean, if it is there (Linux's `cgroup1_root_to_use`).
    fn find_legacy(&self, options: &LegacyOptions) -> Result<Option<Arc<Cgroup>>> {
        for root in self.hierarchies.iter().skip(1).rev() {
            let hierarchy = &root.hierarchy;
            if let Some(name) = &options.name
                && name != hierarchy.name()
            {
                continue;
            }
            if (!options.subsys.is_empty() || options.none) && options.subsys != hierarchy.subsys_mask() {
                if options.name.is_some() {
                    bail!(EBUSY, "cgroup: the hierarchy of that name has other controllers");
                }
                continue;
            }
            return Ok(Some(root.cgroup.clone()));
        }
        Ok(None)
    }

    fn create_legacy(&mut self, kernel: &Arc<Kernel>, options: &LegacyOptions) -> Result<Arc<Cgroup>> {
        let shared = self.hierarchies[0].hierarchy.shared.clone();
        let hierarchy = Hierarchy::new(
            &shared,
            self.next_hierarchy,
            options.name.clone().unwrap_or_default(),
        );
        hierarchy.set_flags(options.flags);
        let root = Cgroup::new(&hierarchy, None, b"", NodeOwner::root(&kernel.time));
        hierarchy.set_root(&root);
        if options.clone_children {
            root.set_flags(CgroupFlags::CLONE_CHILDREN, true);
        }
        self.rebind(&root, options.subsys)?;
        self.next_hierarchy += 1;
        self.hierarchies.push(Root {
            hierarchy,
            cgroup: root.clone(),
        });
        Ok(root)
    }

    /// Binds controllers to the hierarchy of `to` (Linux's `rebind_subsystems`): `EBUSY` while one controls a
    /// cgroup, or belongs to another v1 hierarchy. Nobody's css changes: every task has the root's.
    fn rebind(&mut self, to: &Arc<Cgroup>, mask: SubsysMask) -> Result<()> {
        for id in mask.iter() {
            let from = self.bound(id)?;
            let used = from.cgroup.children().iter().any(|child| child.css(id).is_some());
            ensure!(!used, EBUSY, "cgroup: the controller is in use");
            ensure!(
                from.hierarchy.on_dfl() || to.on_dfl(),
                EBUSY,
                "cgroup: the controller is in another hierarchy"
            );
        }
        for id in mask.iter() {
            let from = self.bound(id)?.cgroup.clone();
            let one = SubsysMask::EMPTY.with(id);
            let old = from.hierarchy();
            old.set_subsys_mask(old.subsys_mask().without(one));
            from.set_subtree_control(from.subtree_control().without(one), self);
            let css = from.css(id).ok_or(err!(EINVAL, "the root's css"))?;
            from.set_css(id, None);
            to.set_css(id, Some(css.clone()));
            css.set_cgroup(to);
            to.hierarchy()
                .set_subsys_mask(to.hierarchy().subsys_mask().union(one));
            id.subsys().bind(&css, to.on_dfl());
        }
        Ok(())
    }

    fn bound(&self, id: SubsysId) -> Result<&Root> {
        let mut roots = self.hierarchies.iter();
        roots
            .find(|root| root.hierarchy.has(id))
            .ok_or(err!(EINVAL, "the controller is nowhere"))
    }

    /// Ends v1 hierarchies that are neither mounted nor have cgroups.
    pub(super) fn reap_hierarchies(&mut self) {
        let mut at = 1;
        while at < self.hierarchies.len() {
            let Root { hierarchy, cgroup } = &self.hierarchies[at];
            if hierarchy.sb.lock().strong_count() > 0 || cgroup.has_children() {
                at += 1;
                continue;
            }
            let dfl = self.hierarchies[0].cgroup.clone();
            let mask = hierarchy.subsys_mask();
            if self.rebind(&dfl, mask).is_err() {
                at += 1;
                continue;
            }
            self.hierarchies.remove(at);
        }
    }
}
