//! Mount trees: the tables of Linux's `sharedsubtree.rst`, limits of busy mounts, `pivot_root`.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::*;
use crate::error::Errno::*;
use crate::fs::testing::{Calls, run};
use crate::task::Task;

const BIND: u32 = 4096;
const MOVE: u32 = 8192;
const REC: u32 = 16384;
const UNBINDABLE: u32 = 1 << 17;
const PRIVATE: u32 = 1 << 18;
const SLAVE: u32 = 1 << 19;
const SHARED: u32 = 1 << 20;
const NOW: UmountFlags = UmountFlags::empty();

/// Shared, slave, unbindable.
type Kind = (bool, bool, bool);

fn kind(task: &Arc<Task>, path: &str) -> Kind {
    let mount = task.walk(path).unwrap().mount;
    let topology = task.kernel().vfs.topology();
    (
        topology.propagation.shared(mount.key).is_some(),
        topology.propagation.master(mount.key).is_some(),
        topology.propagation.is_unbindable(mount.key),
    )
}

fn dirs(task: &Arc<Task>, names: &[&str]) {
    names.iter().for_each(|name| task.mkdir(name).unwrap());
}

fn change(task: &Arc<Task>, path: &str, flags: u32) {
    task.mount("", path, "", flags, "").unwrap();
}

fn tmpfs(task: &Arc<Task>, path: &str) {
    task.mount("t", path, "tmpfs", 0, "").unwrap();
}

fn nr_mounts(task: &Arc<Task>) -> usize {
    task.nsproxy().mnt_ns.mounts.lock().list.len()
}

/// A mount at `path` of one of the four types; `master` is where a slave's master stands.
fn of_type(task: &Arc<Task>, path: &str, master: &str, what: u32) {
    if what == SLAVE {
        tmpfs(task, master);
        change(task, master, SHARED);
        task.mount(master, path, "", BIND, "").unwrap();
        change(task, path, SLAVE);
    } else {
        tmpfs(task, path);
        change(task, path, what);
    }
}

#[test]
fn bind_and_move_give_the_types_of_the_tables() {
    for operation in [BIND, MOVE] {
        for shared_dest in [true, false] {
            for what in [SHARED, PRIVATE, SLAVE, UNBINDABLE] {
                run(move |task| {
                    dirs(task, &["/src", "/dst", "/master"]);
                    of_type(task, "/src", "/master", what);
                    tmpfs(task, "/dst");
                    change(task, "/dst", if shared_dest { SHARED } else { PRIVATE });
                    task.mkdir("/dst/at").unwrap();
                    let before = nr_mounts(task);
                    let done = task.mount("/src", "/dst/at", "", operation, "");
                    let invalid = what == UNBINDABLE && (operation == BIND || shared_dest);
                    if invalid {
                        assert_eq!(done.err().unwrap(), EINVAL);
                        assert_eq!(nr_mounts(task), before);
                        return;
                    }
                    done.unwrap();
                    let expected = (what == SHARED || shared_dest, what == SLAVE, what == UNBINDABLE);
                    assert_eq!(
                        kind(task, "/dst/at"),
                        expected,
                        "{operation} {shared_dest} {what:#x}"
                    );
                });
            }
        }
    }
}

#[test]
fn mounts_reach_peers_and_slaves_but_not_masters() {
    run(|task| {
        dirs(task, &["/a", "/peer", "/slave", "/private"]);
        tmpfs(task, "/a");
        task.mkdir("/a/m").unwrap();
        change(task, "/a", SHARED);
        for name in ["/peer", "/slave", "/private"] {
            task.mount("/a", name, "", BIND, "").unwrap();
        }
        change(task, "/slave", SLAVE);
        change(task, "/private", PRIVATE);
        let mounted = |path: &str| task.walk(path).unwrap().is_mount_root();
        tmpfs(task, "/a/m");
        assert!(mounted("/peer/m") && mounted("/slave/m") && !mounted("/private/m"));
        assert_eq!(kind(task, "/peer/m"), (true, false, false));
        assert_eq!(kind(task, "/slave/m"), (false, true, false));
        // What is mounted on the copy of the slave stays there.
        task.put("/peer/m/f", "seen").unwrap();
        assert_eq!(task.get("/slave/m/f").unwrap(), b"seen");
        task.umount("/a/m", NOW).unwrap();
        assert!(!mounted("/peer/m") && !mounted("/slave/m"));
        tmpfs(task, "/slave/m");
        assert!(!mounted("/a/m") && mounted("/slave/m"));
        // A mount through the master goes under it and away from under it.
        tmpfs(task, "/a/m");
        task.umount("/a/m", NOW).unwrap();
        assert!(mounted("/slave/m"));
        task.umount("/slave/m", NOW).unwrap();
        assert!(!mounted("/slave/m"));
        for name in ["/private", "/slave", "/peer", "/a"] {
            task.umount(name, NOW).unwrap();
        }
        assert_eq!(nr_mounts(task), 2);
        let topology = task.kernel().vfs.topology();
        assert_eq!(topology.mounts.len(), 2);
    });
}

#[test]
fn recursive_binds_skip_what_is_unbindable() {
    run(|task| {
        dirs(task, &["/a", "/b"]);
        tmpfs(task, "/a");
        dirs(task, &["/a/x", "/a/y"]);
        tmpfs(task, "/a/x");
        tmpfs(task, "/a/y");
        change(task, "/a/y", UNBINDABLE);
        task.mount("/a", "/b", "", BIND | REC, "").unwrap();
        assert!(task.walk("/b/x").unwrap().is_mount_root());
        assert!(!task.walk("/b/y").unwrap().is_mount_root());
        assert_eq!(task.mount("/a", "/a/x", "", MOVE, "").err().unwrap(), ELOOP);
        assert_eq!(task.umount("/a", NOW).err().unwrap(), EBUSY);
        let held = task.walk("/b/x").unwrap();
        assert_eq!(task.umount("/b/x", NOW).err().unwrap(), EBUSY);
        task.umount("/b", UmountFlags::DETACH).unwrap();
        assert!(held.mount.ns().is_none());
        assert_eq!(task.umount("/a/x", UmountFlags::EXPIRE).err().unwrap(), EAGAIN);
        task.umount("/a/x", UmountFlags::EXPIRE).unwrap();
    });
}

#[test]
fn read_only_mounts_are_read_only_each_for_itself() {
    run(|task| {
        dirs(task, &["/a", "/b"]);
        tmpfs(task, "/a");
        task.mount("/a", "/b", "", BIND, "").unwrap();
        const REMOUNT: u32 = 32;
        const RDONLY: u32 = 1;
        let file = task
            .open("/b/f", crate::fs::OpenFlags::CREAT | crate::fs::OpenFlags::RDWR)
            .unwrap();
        let remount = || task.mount("", "/b", "", REMOUNT | BIND | RDONLY, "");
        assert_eq!(remount().err().unwrap(), EBUSY);
        drop(file);
        remount().unwrap();
        assert_eq!(task.mkdir("/b/d").err().unwrap(), EROFS);
        assert_eq!(task.put("/b/f", "x").err().unwrap(), EROFS);
        task.put("/a/f", "x").unwrap();
        task.mount("", "/a", "", REMOUNT | RDONLY, "").unwrap();
        assert_eq!(task.unlink("/a/f").err().unwrap(), EROFS);
    });
}

#[test]
fn pivot_root_works_from_the_first_process_on() {
    run(|task| {
        task.mkdir("/new").unwrap();
        let new = task.walk("/new").unwrap();
        assert_eq!(pivot_root(task, &new, &new).err().unwrap(), EBUSY);
        tmpfs(task, "/new");
        task.mkdir("/new/old").unwrap();
        task.put("/mark", "").unwrap();
        let (new, old) = (task.walk("/new").unwrap(), task.walk("/new/old").unwrap());
        pivot_root(task, &new, &old).unwrap();
        drop((new, old));
        task.walk("/old/mark").unwrap();
        assert_eq!(task.walk("/mark").err().unwrap(), ENOENT);
        // pivot_root(".", "."): the old root lies over the new one, and goes.
        task.umount("/old", UmountFlags::DETACH).unwrap();
        task.mkdir("/again").unwrap();
        tmpfs(task, "/again");
        task.put("/again/here", "").unwrap();
        let here = task.walk("/again").unwrap();
        task.fs().set_pwd(here.clone());
        pivot_root(task, &here, &here).unwrap();
        drop(here);
        task.umount(".", UmountFlags::DETACH).unwrap();
        task.walk("/here").unwrap();
        let names = String::from_utf8(show_mounts(
            task.kernel(),
            &task.nsproxy().mnt_ns,
            &task.fs().root(),
        ));
        assert_eq!(names.unwrap().lines().count(), 1);
    });
}

#[test]
fn a_new_namespace_is_a_copy_that_shares_what_is_shared() {
    run(|task| {
        dirs(task, &["/s", "/p"]);
        tmpfs(task, "/s");
        change(task, "/s", SHARED);
        task.mkdir("/s/m").unwrap();
        tmpfs(task, "/p");
        let old = task.nsproxy().mnt_ns.clone();
        let cred = task.cred();
        let new = MountNamespace::copy(&old, old.user_ns(), &cred, None).unwrap();
        let nr_copies = || new.mounts.lock().list.len();
        assert_eq!(nr_copies(), nr_mounts(task));
        tmpfs(task, "/s/m");
        assert_eq!(nr_copies(), nr_mounts(task));
        task.mkdir("/p/m").unwrap();
        tmpfs(task, "/p/m");
        assert_eq!(nr_copies() + 1, nr_mounts(task));
        drop(new);
        let mounts = nr_mounts(task);
        assert_eq!(task.kernel().vfs.topology().mounts.len(), mounts);
    });
}

#[test]
fn mountinfo_says_what_is_shared_with_whom() {
    run(|task| {
        dirs(task, &["/a", "/b c"]);
        task.mount("src", "/a", "tmpfs", 2 | 4, "size=1m,mode=755")
            .unwrap();
        change(task, "/a", SHARED);
        task.mkdir("/a/sub").unwrap();
        task.mount("/a/sub", "/b c", "", BIND, "").unwrap();
        change(task, "/b c", SLAVE);
        let root = task.fs().root();
        let text = show_mountinfo(task.kernel(), &task.nsproxy().mnt_ns, &root);
        let text = String::from_utf8(text).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 3);
        assert!(lines[1].contains(" / /a rw,nosuid,nodev,relatime shared:1 - tmpfs src rw,size=1024k"));
        assert!(lines[2].contains(" /sub /b\\040c rw,nosuid,nodev,relatime master:1 - tmpfs src rw"));
    });
}
