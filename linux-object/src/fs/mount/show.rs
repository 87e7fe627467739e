//! `/proc/PID/{mountinfo,mounts,mountstats}` (`proc(5)`).

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::Write;

use super::{Mount, MountFlags, MountTopology};
use crate::fs::d_path::{dentry_name, path_name};
use crate::fs::namei::is_under;
use crate::fs::{Path, SbFlags};
use crate::kernel::Kernel;
use crate::namespace::MountNamespace;

/// Text of user space: also `#` would be taken for something else.
fn mangle(out: &mut Vec<u8>, text: &[u8]) {
    escape(out, text, b" \t\n\\#");
}

/// A name.
fn mangle_path(out: &mut Vec<u8>, text: &[u8]) {
    escape(out, text, b" \t\n\\");
}

fn escape(out: &mut Vec<u8>, text: &[u8], special: &[u8]) {
    for &byte in text {
        match byte {
            _ if special.contains(&byte) => {
                out.extend_from_slice(alloc::format!("\\{byte:03o}").as_bytes());
            }
            _ => out.push(byte),
        }
    }
}

fn print(out: &mut Vec<u8>, args: core::fmt::Arguments<'_>) {
    let mut text = String::new();
    let _ = text.write_fmt(args);
    out.extend_from_slice(text.as_bytes());
}

fn mount_options(out: &mut Vec<u8>, flags: MountFlags) {
    for (flag, text) in [
        (MountFlags::NOSUID, ",nosuid"),
        (MountFlags::NODEV, ",nodev"),
        (MountFlags::NOEXEC, ",noexec"),
        (MountFlags::NOATIME, ",noatime"),
        (MountFlags::NODIRATIME, ",nodiratime"),
        (MountFlags::RELATIME, ",relatime"),
        (MountFlags::NOSYMFOLLOW, ",nosymfollow"),
    ] {
        if flags.contains(flag) {
            out.extend_from_slice(text.as_bytes());
        }
    }
}

fn sb_options(out: &mut Vec<u8>, flags: SbFlags) {
    for (flag, text) in [
        (SbFlags::SYNCHRONOUS, ",sync"),
        (SbFlags::DIRSYNC, ",dirsync"),
        (SbFlags::MANDLOCK, ",mand"),
        (SbFlags::LAZYTIME, ",lazytime"),
    ] {
        if flags.contains(flag) {
            out.extend_from_slice(text.as_bytes());
        }
    }
}

fn fs_options(out: &mut Vec<u8>, mount: &Mount) {
    let mut options = String::new();
    mount.sb.fs.show_options(&mut options);
    out.extend_from_slice(options.as_bytes());
}

/// Shows each mount of a namespace that `root` sees, in order. The tree stands still meanwhile, so that
/// what is looked at does not count as used.
fn each_visible(
    kernel: &Kernel,
    ns: &MountNamespace,
    root: &Path,
    mut show: impl FnMut(&MountTopology, &Mount, &[u8]),
) {
    kernel.vfs.change_mounts(|topology| {
        for mount in topology.mounts_of(ns) {
            let (name, reachable) = path_name(&Path::root_of(&mount), root);
            if reachable {
                show(topology, &mount, &name);
            }
            topology.discard(mount);
        }
    });
}

/// `/proc/PID/mountinfo`.
pub fn show_mountinfo(kernel: &Kernel, ns: &MountNamespace, root: &Path) -> Vec<u8> {
    let mut out = Vec::new();
    each_visible(kernel, ns, root, |topology, mount, name| {
        let parent = mount.parent().map_or(mount.key.id, |parent| parent.key.id);
        let dev = mount.sb.dev;
        print(
            &mut out,
            format_args!("{} {} {}:{} ", mount.key.id, parent, dev.major(), dev.minor()),
        );
        let own = mount
            .root
            .inode()
            .and_then(|inode| mount.sb.fs.mount_root_name(inode));
        mangle_path(&mut out, &own.unwrap_or_else(|| dentry_name(&mount.root)));
        if mount.root.is_deleted() {
            out.extend_from_slice(b"//deleted");
        }
        out.push(b' ');
        mangle_path(&mut out, name);
        let flags = mount.flags();
        let readonly = flags.contains(MountFlags::READONLY);
        out.extend_from_slice(if readonly { b" ro" } else { b" rw" });
        mount_options(&mut out, flags);
        let propagation = &topology.propagation;
        if let Some(id) = propagation.shared(mount.key) {
            print(&mut out, format_args!(" shared:{id}"));
        }
        if let Some(id) = propagation.master(mount.key) {
            let from = dominating(topology, mount, ns, root);
            print(&mut out, format_args!(" master:{id}"));
            if let Some(from) = from.filter(|&from| from != id) {
                print(&mut out, format_args!(" propagate_from:{from}"));
            }
        }
        if propagation.is_unbindable(mount.key) {
            out.extend_from_slice(b" unbindable");
        }
        out.extend_from_slice(b" - ");
        mangle(&mut out, mount.sb.fs.name().as_bytes());
        out.push(b' ');
        mangle(&mut out, &mount.source);
        out.extend_from_slice(if mount.sb.is_readonly() { b" ro" } else { b" rw" });
        sb_options(&mut out, mount.sb.flags());
        fs_options(&mut out, mount);
        out.push(b'\n');
    });
    out
}

/// The nearest group above a slave that has a member under `root` (Linux's `get_dominating_id`).
fn dominating(topology: &MountTopology, mount: &Mount, ns: &MountNamespace, root: &Path) -> Option<u32> {
    let mut group = topology.propagation.master(mount.key);
    while let Some(id) = group {
        for member in topology.propagation.members(id) {
            let Some(peer) = topology.mounts.get(member).and_then(|peer| peer.upgrade()) else {
                continue;
            };
            let here = core::ptr::eq(peer.links.lock().ns.as_ptr(), ns);
            let seen = here && is_under(&Path::root_of(&peer), root);
            // Its namespace holds it: the topology is locked.
            drop(peer);
            if seen {
                return Some(id);
            }
        }
        group = topology.propagation.master_of_group(id);
    }
    None
}

/// `/proc/PID/mounts`.
pub fn show_mounts(kernel: &Kernel, ns: &MountNamespace, root: &Path) -> Vec<u8> {
    let mut out = Vec::new();
    each_visible(kernel, ns, root, |_, mount, name| {
        mangle(&mut out, &mount.source);
        out.push(b' ');
        mangle_path(&mut out, name);
        out.push(b' ');
        mangle(&mut out, mount.sb.fs.name().as_bytes());
        out.extend_from_slice(if mount.is_readonly() { b" ro" } else { b" rw" });
        sb_options(&mut out, mount.sb.flags());
        mount_options(&mut out, mount.flags());
        fs_options(&mut out, mount);
        out.extend_from_slice(b" 0 0\n");
    });
    out
}

/// `/proc/PID/mountstats`.
pub fn show_mountstats(kernel: &Kernel, ns: &MountNamespace, root: &Path) -> Vec<u8> {
    let mut out = Vec::new();
    each_visible(kernel, ns, root, |_, mount, name| {
        out.extend_from_slice(b"device ");
        mangle(&mut out, &mount.source);
        out.extend_from_slice(b" mounted on ");
        mangle_path(&mut out, name);
        out.extend_from_slice(b" with fstype ");
        mangle(&mut out, mount.sb.fs.name().as_bytes());
        out.push(b'\n');
    });
    out
}
