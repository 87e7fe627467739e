//! Finding the trees of a new overlay, and what must hold of them.

use alloc::sync::Arc;
use alloc::vec::Vec;

use super::options::{Options, unescape};
use super::{Ovl, Upper, real};
use crate::error::Result;
use crate::fs::fs_context::Log;
use crate::fs::namei::{LookupFlags, path_lookup};
use crate::fs::{CreateSpec, DevT, FileType, Mount, MountFlags, Path};
use crate::kernel::Kernel;
use crate::task::Task;
use crate::{bail, ensure};

/// Most lower trees.
const OVL_MAX_STACK: usize = 500;
/// How deep file systems may be stacked.
const FILESYSTEM_MAX_STACK_DEPTH: u32 = 2;
/// Where things are made, below the work directory.
const WORK: &[u8] = b"work";

/// The trees.
pub(super) struct Found {
    pub upper: Option<Upper>,
    pub lowers: Vec<Path>,
    pub depth: u32,
}

fn directory(task: &Arc<Task>, name: &[u8], log: &mut Log) -> Result<Path> {
    ensure!(!name.is_empty(), EINVAL, "overlay: an empty name of a directory");
    let path = path_lookup(task, None, name, LookupFlags::FOLLOW)?;
    ensure!(
        path.mount.sb.fs.cacheable(),
        EINVAL,
        "overlay: names of this file system come and go"
    );
    if path.inode()?.file_type() != FileType::Directory {
        log.prefixed('e', format_args!("not a directory"));
        bail!(EINVAL, "overlay: not a directory");
    }
    Ok(path)
}

/// A mount of its own of a tree (Linux's `clone_private_mount`).
fn private(kernel: &Arc<Kernel>, path: &Path, flags: MountFlags) -> Result<Path> {
    let mount = Mount::charged(
        kernel,
        path.mount.sb.clone(),
        path.dentry.clone(),
        b"overlay",
        flags,
    )?;
    Ok(Path::new(mount, path.dentry.clone()))
}

fn overlap(one: &Path, other: &Path) -> bool {
    one.dentry.is_subdir(&other.dentry) || other.dentry.is_subdir(&one.dentry)
}

/// Looks the trees up and checks them, in Linux's order.
pub(super) fn find(
    task: &Arc<Task>,
    options: &Options,
    kernel: &Arc<Kernel>,
    log: &mut Log,
) -> Result<Found> {
    let mut depth = 0;
    let mut upper = None;
    if let (Some(upperdir), Some(workdir)) = (&options.upperdir, &options.workdir) {
        let root = directory(task, &unescape(upperdir), log)?;
        ensure!(
            !root.mount.is_readonly(),
            EINVAL,
            "overlay: the upper tree is read-only"
        );
        let work = directory(task, &unescape(workdir), log)?;
        ensure!(
            Arc::ptr_eq(&root.mount, &work.mount),
            EINVAL,
            "overlay: upperdir and workdir are on different mounts"
        );
        ensure!(
            !overlap(&root, &work),
            EINVAL,
            "overlay: upperdir and workdir overlap"
        );
        depth = root.mount.sb.fs.stack_depth();
        upper = Some((root, work));
    }
    let names = options.lower_names();
    ensure!(
        names.len() <= OVL_MAX_STACK,
        EINVAL,
        "overlay: too many lower trees"
    );
    ensure!(
        upper.is_some() || names.len() > 1,
        EINVAL,
        "overlay: one lower tree alone"
    );
    let mut lowers: Vec<Path> = Vec::new();
    for name in names {
        let path = directory(task, &name, log)?;
        depth = depth.max(path.mount.sb.fs.stack_depth());
        lowers.push(path);
    }
    ensure!(
        depth < FILESYSTEM_MAX_STACK_DEPTH,
        EINVAL,
        "overlay: stacked too deep"
    );
    for (n, lower) in lowers.iter().enumerate() {
        let others = &lowers[..n];
        let upper_overlaps = upper
            .as_ref()
            .is_some_and(|(root, work)| overlap(lower, root) || overlap(lower, work));
        ensure!(
            !upper_overlaps && !others.iter().any(|other| overlap(lower, other)),
            ELOOP,
            "overlay: trees overlap"
        );
    }
    let readonly = MountFlags::READONLY | MountFlags::NOATIME;
    let own = |(root, work): (Path, Path)| -> Result<Upper> {
        Ok(Upper {
            root: private(kernel, &root, MountFlags::RELATIME)?,
            work: private(kernel, &work, MountFlags::RELATIME)?,
        })
    };
    Ok(Found {
        upper: upper.map(own).transpose()?,
        lowers: lowers
            .iter()
            .map(|path| private(kernel, path, readonly))
            .collect::<Result<_>>()?,
        depth: depth + 1,
    })
}

/// Makes the work directory's own directory, or empties the one that is there.
pub(super) fn clean_work(ovl: &Ovl, work: &Path) -> Result<()> {
    if let Some(old) = real::lookup(work, WORK)? {
        for name in real::names(&old)? {
            // What an earlier mount left: files, whiteouts, empty directories.
            let Some(left) = real::lookup(&old, &name)? else {
                continue;
            };
            let is_dir = left.inode()?.file_type() == FileType::Directory;
            real::remove(&old, &name, is_dir)?;
        }
        return Ok(());
    }
    let owner = work.inode()?.owner();
    let spec = CreateSpec {
        file_type: FileType::Directory,
        mode: 0,
        uid: owner.uid,
        gid: owner.gid,
        rdev: DevT::default(),
    };
    real::create(ovl, work, WORK, &spec, None).map(drop)
}

/// Where things are made.
pub(super) fn work_dir(upper: &Upper) -> Result<Path> {
    match real::lookup(&upper.work, WORK)? {
        Some(dir) => Ok(dir),
        None => bail!(ESTALE, "overlay: the work directory is gone"),
    }
}
