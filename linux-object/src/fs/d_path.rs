//! From a path back to a name (Linux's `d_path`).

use alloc::sync::Arc;
use alloc::vec::Vec;

use super::{Dentry, DentryFlags, FileType, Path};

/// Puts the parts of a name together from its end.
#[derive(Default)]
struct Backwards(Vec<u8>);

impl Backwards {
    fn push(&mut self, part: &[u8]) {
        self.0.extend(part.iter().rev());
    }
    fn finish(mut self) -> Vec<u8> {
        self.0.reverse();
        self.0
    }
}

/// The name of a path as seen from `root`, and whether it is below that root. Outside of it the name
/// is that from the root of its own mount tree.
pub fn path_name(path: &Path, root: &Path) -> (Vec<u8>, bool) {
    let mut out = Backwards::default();
    let mut at = path.clone();
    let mut reachable = true;
    while at != *root {
        if at.is_mount_root() {
            match at.mount.mountpoint() {
                Some(mountpoint) => {
                    at = mountpoint;
                    continue;
                }
                None => {
                    reachable = false;
                    break;
                }
            }
        }
        let Some(parent) = at.dentry.parent() else {
            reachable = false;
            break;
        };
        out.push(&at.dentry.name());
        out.push(b"/");
        at.dentry = parent;
    }
    if out.0.is_empty() {
        out.push(b"/");
    }
    (out.finish(), reachable)
}

/// The name of a dentry from the root of its file system.
pub fn dentry_name(dentry: &Arc<Dentry>) -> Vec<u8> {
    if dentry.flags().contains(DentryFlags::PSEUDO) {
        return pseudo_name(dentry);
    }
    let mut out = Backwards::default();
    let mut at = dentry.clone();
    while let Some(parent) = at.parent() {
        out.push(&at.name());
        out.push(b"/");
        at = parent;
    }
    if out.0.is_empty() {
        out.push(b"/");
    }
    out.finish()
}

fn pseudo_name(dentry: &Dentry) -> Vec<u8> {
    let name = dentry.name();
    if !name.is_empty() {
        return name.to_vec();
    }
    let Some(inode) = dentry.inode() else {
        return Vec::new();
    };
    let ino = inode.metadata().inode;
    match inode.file_type() {
        FileType::Socket => alloc::format!("socket:[{ino}]").into_bytes(),
        _ => alloc::format!("pipe:[{ino}]").into_bytes(),
    }
}

/// What `/proc/PID/fd/N`, `/proc/PID/maps` and the like show for a path, seen from `root`.
pub fn d_path(path: &Path, root: &Path) -> Vec<u8> {
    if path.dentry.flags().contains(DentryFlags::PSEUDO) {
        return pseudo_name(&path.dentry);
    }
    let (name, reachable) = path_name(path, root);
    let mut shown = Vec::new();
    if !reachable && path.mount.ns().is_some() && path.mount.parent().is_none() {
        // Of another tree than the root's: Linux shows the name from that tree's root.
    }
    shown.extend_from_slice(&name);
    if path.dentry.is_deleted() {
        shown.extend_from_slice(b" (deleted)");
    }
    shown
}
