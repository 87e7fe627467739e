//! Path walk, tmpfs and the initramfs on a simulated machine.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use std::boxed::Box;

use super::namei::{LookupFlags, RenameFlags, path_lookup};
use super::testing::{Calls, run, with_initrd};
use super::{FileTable, FileType, OpenFlags, OpenHow, attr, open};
use crate::error::Errno::*;
use crate::ids::Fd;

const NONE: RenameFlags = RenameFlags::empty();

#[test]
fn walking_follows_links_and_reports_what_is_in_the_way() {
    run(|task| {
        task.mkdir("/a").unwrap();
        task.mkdir("/a/b").unwrap();
        task.put("/a/b/f", "text").unwrap();
        task.symlink("b", "/a/l").unwrap();
        task.symlink("/a/l/f", "/deep").unwrap();
        task.symlink("loop", "/loop").unwrap();
        assert_eq!(task.get("/deep").unwrap(), b"text");
        assert_eq!(task.get("/a/./l//../b/f").unwrap(), b"text");
        assert_eq!(task.walk("/../../a/b/..").unwrap().dentry.name()[..], *b"a");
        assert_eq!(task.walk("/a/b/f/x").err().unwrap(), ENOTDIR);
        assert_eq!(task.walk("/a/b/f/").err().unwrap(), ENOTDIR);
        assert_eq!(task.walk("/a/none").err().unwrap(), ENOENT);
        assert_eq!(task.walk("/a/none/x").err().unwrap(), ENOENT);
        assert_eq!(task.walk("/loop").err().unwrap(), ELOOP);
        assert_eq!(task.walk("").err().unwrap(), ENOENT);
        let long = format!("/a/{}", String::from_utf8(Vec::from([b'x'; 256])).unwrap());
        assert_eq!(task.walk(&long).err().unwrap(), ENAMETOOLONG);
        let (mut chain, mut last) = (40, String::from("/a"));
        for n in 0..chain {
            let name = format!("/c{n}");
            task.symlink(&last, &name).unwrap();
            last = name;
        }
        task.walk(&last).unwrap();
        chain += 1;
        task.symlink(&last, &format!("/c{chain}")).unwrap();
        assert_eq!(task.walk(&format!("/c{chain}")).err().unwrap(), ELOOP);
    });
}

#[test]
fn resolve_flags_keep_the_walk_inside() {
    run(|task| {
        task.mkdir("/in").unwrap();
        task.mkdir("/in/d").unwrap();
        task.put("/out", "").unwrap();
        task.symlink("/out", "/in/abs").unwrap();
        task.symlink("../out", "/in/up").unwrap();
        let base = task.walk("/in").unwrap();
        let at =
            |name: &str, flags| path_lookup(task, Some(&base), name.as_bytes(), flags | LookupFlags::FOLLOW);
        for name in ["..", "/out", "abs", "up", "d/../.."] {
            assert_eq!(at(name, LookupFlags::BENEATH).err().unwrap(), EXDEV, "{name}");
        }
        at("d/..", LookupFlags::BENEATH).unwrap();
        assert!(at("..", LookupFlags::IN_ROOT).unwrap() == base);
        assert!(at("/", LookupFlags::IN_ROOT).unwrap() == base);
        assert_eq!(at("abs", LookupFlags::IN_ROOT).err().unwrap(), ENOENT);
        assert_eq!(at("abs", LookupFlags::NO_SYMLINKS).err().unwrap(), ELOOP);
    });
}

#[test]
fn open_creates_and_refuses_as_the_flags_say() {
    run(|task| {
        let create = OpenFlags::CREAT | OpenFlags::RDWR;
        task.open("/f", create).unwrap();
        assert_eq!(task.open("/f", create | OpenFlags::EXCL).err().unwrap(), EEXIST);
        assert_eq!(task.open("/g", OpenFlags::RDWR).err().unwrap(), ENOENT);
        assert_eq!(task.open("/g/", create).err().unwrap(), EISDIR);
        assert_eq!(task.open("/", OpenFlags::RDWR).err().unwrap(), EISDIR);
        assert_eq!(task.open("/f", OpenFlags::DIRECTORY).err().unwrap(), ENOTDIR);
        task.symlink("/made", "/dangling").unwrap();
        assert_eq!(task.open("/dangling", OpenFlags::NOFOLLOW).err().unwrap(), ELOOP);
        assert_eq!(
            task.open("/dangling", create | OpenFlags::EXCL).err().unwrap(),
            EEXIST
        );
        task.open("/dangling", create).unwrap();
        assert_eq!(
            task.walk("/made").unwrap().inode().unwrap().file_type(),
            FileType::Regular
        );
        let how = OpenHow::new(
            OpenFlags::TMPFILE | OpenFlags::DIRECTORY | OpenFlags::RDWR,
            0o600,
            LookupFlags::empty(),
        );
        let file = open(task, None, b"/", how.unwrap()).unwrap();
        assert_eq!(file.inode.metadata().nlink, 0);
        let running = task.walk("/f").unwrap();
        let common = running.inode().unwrap().common();
        common.deny_write_access().unwrap();
        assert_eq!(task.open("/f", OpenFlags::RDWR).err().unwrap(), ETXTBSY);
        common.allow_write_access();
        task.open("/f", OpenFlags::RDWR).unwrap();
    });
}

#[test]
fn names_come_and_go() {
    run(|task| {
        task.mkdir("/d").unwrap();
        assert_eq!(task.mkdir("/d").err().unwrap(), EEXIST);
        task.put("/d/f", "one").unwrap();
        assert_eq!(task.rmdir("/d").err().unwrap(), ENOTEMPTY);
        assert_eq!(task.rmdir("/d/f").err().unwrap(), ENOTDIR);
        assert_eq!(task.unlink("/d").err().unwrap(), EISDIR);
        task.link("/d/f", "/d/g").unwrap();
        assert_eq!(task.walk("/d/g").unwrap().inode().unwrap().metadata().nlink, 2);
        assert_eq!(task.link("/d", "/e").err().unwrap(), EPERM);
        task.rename("/d/g", "/h", NONE).unwrap();
        assert_eq!(task.walk("/d/g").err().unwrap(), ENOENT);
        assert_eq!(task.get("/h").unwrap(), b"one");
        assert_eq!(
            task.rename("/h", "/d/f", RenameFlags::NOREPLACE).err().unwrap(),
            EEXIST
        );
        // Two names of one file: nothing happens.
        task.rename("/h", "/d/f", NONE).unwrap();
        task.walk("/h").unwrap();
        task.mkdir("/x").unwrap();
        task.mkdir("/x/y").unwrap();
        assert_eq!(task.rename("/x", "/x/y/z", NONE).err().unwrap(), EINVAL);
        assert_eq!(task.rename("/x/y", "/x", NONE).err().unwrap(), ENOTEMPTY);
        assert_eq!(task.rename("/h", "/x", NONE).err().unwrap(), EISDIR);
        assert_eq!(task.rename("/x", "/h", NONE).err().unwrap(), ENOTDIR);
        task.rename("/x", "/h", RenameFlags::EXCHANGE).unwrap();
        task.walk("/h/y").unwrap();
        assert_eq!(task.get("/x").unwrap(), b"one");
        task.rename("/h/y", "/d/y", NONE).unwrap();
        assert_eq!(task.walk("/h").unwrap().inode().unwrap().metadata().nlink, 2);
        assert_eq!(task.walk("/d").unwrap().inode().unwrap().metadata().nlink, 3);
        task.rename("/x", "/w", RenameFlags::WHITEOUT).unwrap();
        assert_eq!(
            task.walk("/x").unwrap().inode().unwrap().file_type(),
            FileType::CharDevice
        );
        // A removed directory takes nothing in.
        let held = task.walk("/d/y").unwrap();
        task.rmdir("/d/y").unwrap();
        task.parts.lock().fs.clone().unwrap().set_pwd(held);
        assert_eq!(task.mkdir("new").err().unwrap(), ENOENT);
    });
}

#[test]
fn limits_of_a_tmpfs_hold_and_are_given_back() {
    run(|task| {
        task.mkdir("/t").unwrap();
        task.mount("t", "/t", "tmpfs", 0, "size=64k,nr_inodes=4,mode=700")
            .unwrap();
        let root = task.walk("/t").unwrap();
        assert_eq!(root.inode().unwrap().owner().mode, 0o700);
        let fs = root.mount.sb.fs.clone();
        assert_eq!((fs.info().blocks, fs.info().files), (16, 4));
        for name in ["/t/a", "/t/b", "/t/c"] {
            task.put(name, "x").unwrap();
        }
        assert_eq!(fs.info().blocks_free, 13);
        assert_eq!(task.put("/t/d", "").err().unwrap(), ENOSPC);
        assert_eq!(task.link("/t/a", "/t/d").err().unwrap(), ENOSPC);
        let a = task.walk("/t/a").unwrap();
        let inode = a.inode().unwrap();
        assert_eq!(inode.fallocate(0, 0, 14 * 4096 + 1).err().unwrap(), ENOSPC);
        inode.fallocate(0, 0, 14 * 4096).unwrap();
        assert_eq!(fs.info().blocks_free, 0);
        attr::truncate(task, &a, 1).unwrap();
        assert_eq!(fs.info().blocks_free, 13);
        assert_eq!(inode.seek_data_hole(0, true).unwrap(), 0);
        attr::truncate(task, &a, 3 * 4096).unwrap();
        assert_eq!(inode.seek_data_hole(0, false).unwrap(), 4096);
        drop(a);
        for name in ["/t/a", "/t/b", "/t/c"] {
            task.unlink(name).unwrap();
        }
        assert_eq!((fs.info().blocks_free, fs.info().files_free), (16, 3));
    });
}

#[test]
fn a_very_deep_tree_is_dropped_without_a_deep_stack() {
    run(|task| {
        task.mkdir("/t").unwrap();
        task.mount("t", "/t", "tmpfs", 0, "nr_inodes=0").unwrap();
        let fs = task.parts.lock().fs.clone().unwrap();
        fs.set_pwd(task.walk("/t").unwrap());
        for _ in 0..20_000 {
            task.mkdir("d").unwrap();
            fs.set_pwd(task.walk("d").unwrap());
        }
        fs.set_pwd(task.walk("/").unwrap());
        task.umount("/t", super::mount::UmountFlags::empty()).unwrap();
    });
}

fn entry(out: &mut Vec<u8>, ino: u32, nlink: u32, mode: u32, name: &str, data: &[u8]) {
    let fields = [
        ino,
        mode,
        1,
        2,
        nlink,
        77,
        data.len() as u32,
        0,
        0,
        0,
        0,
        name.len() as u32 + 1,
        0,
    ];
    out.extend_from_slice(b"070701");
    for field in fields {
        out.extend_from_slice(format!("{field:08x}").as_bytes());
    }
    out.extend_from_slice(name.as_bytes());
    out.push(0);
    out.resize(out.len().next_multiple_of(4), 0);
    out.extend_from_slice(data);
    out.resize(out.len().next_multiple_of(4), 0);
}

#[test]
fn archives_are_unpacked_one_after_the_other() {
    let mut first = Vec::new();
    entry(&mut first, 1, 2, 0o040755, "bin", b"");
    entry(&mut first, 2, 2, 0o100755, "bin/tool", b"");
    entry(&mut first, 2, 2, 0o100755, "bin/alias", b"#!tool");
    entry(&mut first, 3, 1, 0o120777, "sbin", b"bin");
    entry(&mut first, 4, 1, 0o100644, "sbin/late", b"through a link");
    entry(&mut first, 0, 1, 0, "TRAILER!!!", b"");
    first.resize(first.len().next_multiple_of(512), 0);
    let mut second = Vec::new();
    entry(&mut second, 1, 1, 0o100600, "./init", b"second");
    entry(&mut second, 0, 1, 0, "TRAILER!!!", b"");
    // The same as a gzip member of stored blocks.
    let mut gzip = Vec::from(b"\x1f\x8b\x08\x08\0\0\0\0\0\x03name\0");
    gzip.push(1);
    gzip.extend_from_slice(&(second.len() as u16).to_le_bytes());
    gzip.extend_from_slice(&(!(second.len() as u16)).to_le_bytes());
    gzip.extend_from_slice(&second);
    gzip.extend_from_slice(&[0; 8]);
    let image: Vec<u8> = first.into_iter().chain(gzip).collect();
    with_initrd(Some(Box::leak(image.into_boxed_slice())), |task| {
        assert_eq!(task.get("/bin/tool").unwrap(), b"#!tool");
        assert_eq!(task.get("/bin/late").unwrap(), b"through a link");
        assert_eq!(task.get("/init").unwrap(), b"second");
        let tool = task.walk("/bin/tool").unwrap().inode().unwrap().metadata();
        assert_eq!((tool.nlink, tool.mode, tool.uid.0, tool.gid.0), (2, 0o755, 1, 2));
        assert_eq!(tool.mtime.0, 77_000_000_000);
        assert_eq!(
            task.walk("/bin").unwrap().inode().unwrap().metadata().mtime.0,
            77_000_000_000
        );
        task.walk("/dev/console").unwrap();
    });
}

#[test]
fn descriptors_are_the_lowest_free_ones() {
    run(|task| {
        let file = task.open("/f", OpenFlags::CREAT | OpenFlags::RDWR).unwrap();
        let table = FileTable::new(task.kernel());
        for fd in 0..70 {
            assert_eq!(table.install(file.clone(), false, 0, 100).unwrap(), Fd(fd));
        }
        table.close(Fd(3)).unwrap();
        table.close(Fd(65)).unwrap();
        assert_eq!(table.install(file.clone(), true, 10, 100).unwrap(), Fd(65));
        assert_eq!(table.install(file.clone(), false, 0, 100).unwrap(), Fd(3));
        assert_eq!(table.install(file.clone(), false, 0, 70).err().unwrap(), EMFILE);
        let reserved = table.reserve(false, 0, 100).unwrap();
        assert_eq!(reserved.fd(), Fd(70));
        assert_eq!(table.get(Fd(70)).err().unwrap(), EBADF);
        assert_eq!(
            table.replace(Fd(70), file.clone(), false, 100).err().unwrap(),
            EBUSY
        );
        drop(reserved);
        let copy = table.fork().unwrap();
        assert!(copy.cloexec(Fd(65)).unwrap());
        copy.close_on_exec(task);
        assert_eq!(copy.get(Fd(65)).err().unwrap(), EBADF);
        copy.close_all(task);
        assert_eq!(copy.fds(), []);
        assert_eq!(table.fds().len(), 70);
    });
}
