//! cgroupfs: a hierarchy as directories and files (Linux's kernfs side of cgroups).
//!
//! Model: a directory is a cgroup, its files are the lines of the tables that apply to it now.
//! Inodes are made when somebody looks and shared while in use; what `chown`, `chmod` and `setxattr` change
//! is kept in the cgroup's [`Nodes`]. A superblock shows a whole hierarchy; a mount in a cgroup
//! namespace begins at that namespace's root.
//!
//! Names come and go on their own, so nothing is cached and the VFS holds no lock when it calls: the
//! calls that change something take [`CgroupMembership`].

mod events;
mod export;
mod file;
mod inode;
mod node;
mod options;

pub use inode::CgroupDir;
pub use node::{NodeOwner, Nodes};

use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::any::Any;
use core::sync::atomic::Ordering;

use self::options::LegacyOptions;
use super::membership::Root;
use super::{CfType, Cgroup, CgroupFlags, CgroupMembership, Hierarchy, RootFlags, SubsysId, SubsysMask};
use crate::error::Result;
use crate::fs::export::ExportOps;
use crate::fs::fs_context::param::{Param, Value};
use crate::fs::fs_context::{ContextInit, ContextOps, Log, MountRequest, ParamCx, Tree};
use crate::fs::{Dentry, FileSystem, FileSystemType, FsInfo, INode, OpenFile, SuperBlock, hash_name};
use crate::kernel::Kernel;
use crate::namespace::{CgroupNamespace, UserNamespace};
use crate::{bail, ensure, err};

const CGROUP_SUPER_MAGIC: u64 = 0x0027_e0eb;
const CGROUP2_SUPER_MAGIC: u64 = 0x6367_7270;

/// The cgroup and the line of an open file of a cgroup.
pub(super) fn file_of(file: &OpenFile) -> Option<(&Arc<Cgroup>, &'static CfType)> {
    file.ops_as::<file::CgroupHandle>().map(file::CgroupHandle::whose)
}

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
    fn cacheable(&self) -> bool {
        false
    }
    fn export_ops(&self) -> Option<&dyn ExportOps> {
        Some(self)
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

/// The cgroup behind an open directory (`CLONE_INTO_CGROUP`): `EBADF` if it is no directory of cgroup2,
/// `ENOENT` if that is gone.
pub fn cgroup_of(file: &OpenFile) -> Result<Arc<Cgroup>> {
    let dir = file.inode.as_any().downcast_ref::<CgroupDir>();
    let dir = dir.ok_or(err!(EBADF, "clone3: the descriptor is no cgroup directory"))?;
    let cgroup = dir.cgroup();
    ensure!(!cgroup.is_dead(), ENOENT, "clone3: the cgroup is gone");
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

fn hierarchy_of(sb: &SuperBlock) -> Option<Arc<Hierarchy>> {
    let fs: &dyn Any = &*sb.fs;
    Some(fs.downcast_ref::<CgroupFs>()?.hierarchy.clone())
}

/// `mount -t cgroup2`.
pub struct Cgroup2Type;

/// `mount -t cgroup`.
pub struct CgroupType;

impl FileSystemType for Cgroup2Type {
    fn name(&self) -> &'static str {
        "cgroup2"
    }
    fn userns_mount(&self) -> bool {
        true
    }
    fn init_context(&self, init: &ContextInit<'_>) -> Result<Box<dyn ContextOps>> {
        Ok(Box::new(Cgroup2Context {
            ns: init.task.nsproxy().cgroup_ns.clone(),
            flags: RootFlags::empty(),
        }))
    }
}

impl FileSystemType for CgroupType {
    fn name(&self) -> &'static str {
        "cgroup"
    }
    fn userns_mount(&self) -> bool {
        true
    }
    fn init_context(&self, init: &ContextInit<'_>) -> Result<Box<dyn ContextOps>> {
        Ok(Box::new(CgroupContext {
            ns: init.task.nsproxy().cgroup_ns.clone(),
            options: LegacyOptions::default(),
        }))
    }
}

/// A mount shows the tree from the root of the cgroup namespace down.
fn tree(kernel: &Arc<Kernel>, ns: &CgroupNamespace, sb: Arc<SuperBlock>, hierarchy: &Arc<Hierarchy>) -> Tree {
    match ns.root(hierarchy) {
        Some(root) if !root.is_root() => {
            let root = dentry_of(kernel, &sb, &root);
            Tree { sb, root }
        }
        _ => Tree::whole(sb),
    }
}

/// The text of an option, `None` for a flag.
fn text(param: &Param) -> Result<Option<&[u8]>> {
    match &param.value {
        Value::Flag => Ok(None),
        Value::String(text) => Ok(Some(text)),
        _ => bail!(EINVAL, "cgroup: an option that is no text"),
    }
}

struct Cgroup2Context {
    ns: Arc<CgroupNamespace>,
    flags: RootFlags,
}

impl ContextOps for Cgroup2Context {
    fn user_ns(&self) -> Option<Arc<UserNamespace>> {
        Some(self.ns.user_ns().clone())
    }
    fn parse_param(&mut self, _cx: &mut ParamCx<'_>, param: &Param) -> Result<bool> {
        let Some(flag) = options::dfl_flag(&param.key) else {
            return Ok(false);
        };
        ensure!(
            text(param)?.is_none(),
            EINVAL,
            "cgroup2: the option takes no value"
        );
        self.flags |= flag;
        Ok(true)
    }
    fn get_tree(&mut self, request: &mut MountRequest<'_>) -> Result<Tree> {
        let kernel = request.kernel;
        let root = kernel.cgroups.dfl_root();
        let sb = CgroupFs::superblock(kernel, root, request.sb_flags)?;
        root.hierarchy().shared.dfl_visible.store(true, Ordering::Relaxed);
        if self.ns.is_initial() {
            root.hierarchy().set_flags(self.flags);
        }
        Ok(tree(kernel, &self.ns, sb, root.hierarchy()))
    }
    fn reconfigure(&mut self, sb: &Arc<SuperBlock>, _text: &[u8], _log: &mut Log) -> Result<()> {
        if self.ns.is_initial()
            && let Some(hierarchy) = hierarchy_of(sb)
        {
            hierarchy.set_flags(self.flags);
        }
        Ok(())
    }
}

struct CgroupContext {
    ns: Arc<CgroupNamespace>,
    options: LegacyOptions,
}

impl ContextOps for CgroupContext {
    fn user_ns(&self) -> Option<Arc<UserNamespace>> {
        Some(self.ns.user_ns().clone())
    }
    fn parse_param(&mut self, _cx: &mut ParamCx<'_>, param: &Param) -> Result<bool> {
        if param.key == b"source" {
            return Ok(false);
        }
        self.options.take(&param.key, text(param)?)
    }
    fn get_tree(&mut self, request: &mut MountRequest<'_>) -> Result<Tree> {
        self.options.finish()?;
        let kernel = request.kernel;
        let mut membership = kernel.cgroups.lock();
        let root = match membership.find_legacy(&self.options)? {
            Some(root) => root,
            None => {
                self.options.check_new()?;
                ensure!(
                    self.ns.is_initial(),
                    EPERM,
                    "cgroup: hierarchies are made in the initial cgroup namespace"
                );
                membership.create_legacy(kernel, &self.options)?
            }
        };
        let sb = CgroupFs::superblock(kernel, &root, request.sb_flags)?;
        Ok(tree(kernel, &self.ns, sb, root.hierarchy()))
    }
    fn reconfigure(&mut self, sb: &Arc<SuperBlock>, _text: &[u8], _log: &mut Log) -> Result<()> {
        self.options.finish()?;
        let fs: &dyn Any = &*sb.fs;
        let fs = fs.downcast_ref::<CgroupFs>().ok_or(err!(EINVAL))?;
        let kernel = fs.kernel.upgrade().ok_or(err!(ENODEV))?;
        let (options, hierarchy) = (&self.options, &fs.hierarchy);
        let mut membership = kernel.cgroups.lock();
        let same_name = options
            .name
            .as_deref()
            .is_none_or(|name| name == hierarchy.name());
        ensure!(
            options.flags == hierarchy.flags() && same_name,
            EINVAL,
            "cgroup: flags and name of a hierarchy do not change"
        );
        let root = hierarchy.root().ok_or(err!(ENODEV))?;
        let old = hierarchy.subsys_mask();
        ensure!(
            options.subsys == old || !root.has_children(),
            EBUSY,
            "cgroup: there are cgroups"
        );
        membership.rebind(&root, options.subsys.without(old))?;
        let dfl = membership.hierarchies[0].cgroup.clone();
        membership.rebind(&dfl, old.without(options.subsys))
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
