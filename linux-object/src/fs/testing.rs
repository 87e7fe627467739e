//! For tests: a first task with files on a simulated machine.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::io::{KernelDst, KernelSrc};
use super::namei::{self, CreateParent, LookupFlags};
use super::{FileTable, FsStruct, OpenFile, OpenFlags, OpenHow, Path, init_mounts, mount, open};
use crate::cred::Cred;
use crate::error::Result;
use crate::sched::Scheduler;
use crate::sim;
use crate::task::clone::spawn_process;
use crate::task::{Task, TaskParts};

/// Runs `body` as the first task of a kernel whose root is an empty tmpfs (but for `initrd`).
pub(crate) fn with_initrd(initrd: Option<&'static [u8]>, body: impl FnOnce(&Arc<Task>) + Send + 'static) {
    sim::run(1, 1, move |kernel| {
        let root = init_mounts(kernel, initrd).unwrap();
        let ns = kernel.vfs.init_mnt_ns.get().unwrap().clone();
        let body: Box<dyn FnOnce(&Arc<Task>) + Send> = Box::new(move |task| {
            body(task);
            task.kernel().hal.power_off();
        });
        let thread = Scheduler::new_thread(kernel, body).unwrap();
        let parts = TaskParts {
            cred: Arc::new(Cred::root(kernel.init_user_ns.clone())),
            nsproxy: Some(kernel.init_ns.nsproxy(ns)),
            fs: Some(FsStruct::new(root)),
            files: Some(FileTable::new(kernel)),
            mm: None,
            comm: *b"test\0\0\0\0\0\0\0\0\0\0\0\0",
        };
        let task = spawn_process(kernel, thread, parts).unwrap();
        kernel.sched.start(&task);
    });
}

/// Likewise, with an empty root.
pub(crate) fn run(body: impl FnOnce(&Arc<Task>) + Send + 'static) {
    with_initrd(None, body);
}

/// What a process would do, by name.
pub(crate) trait Calls {
    fn walk(&self, path: &str) -> Result<Path>;
    fn mkdir(&self, path: &str) -> Result<()>;
    fn open(&self, path: &str, flags: OpenFlags) -> Result<Arc<OpenFile>>;
    fn put(&self, path: &str, text: &str) -> Result<()>;
    fn get(&self, path: &str) -> Result<Vec<u8>>;
    fn symlink(&self, target: &str, path: &str) -> Result<()>;
    fn link(&self, old: &str, new: &str) -> Result<()>;
    fn unlink(&self, path: &str) -> Result<()>;
    fn rmdir(&self, path: &str) -> Result<()>;
    fn rename(&self, old: &str, new: &str, flags: namei::RenameFlags) -> Result<()>;
    fn mount(&self, source: &str, target: &str, fs_type: &str, flags: u32, data: &str) -> Result<()>;
    fn umount(&self, target: &str, flags: mount::UmountFlags) -> Result<()>;
}

fn parent(task: &Arc<Task>, path: &str) -> Result<namei::Parent> {
    namei::path_parent(task, None, path.as_bytes(), LookupFlags::empty())
}

impl Calls for Arc<Task> {
    fn walk(&self, path: &str) -> Result<Path> {
        namei::path_lookup(self, None, path.as_bytes(), LookupFlags::FOLLOW)
    }
    fn mkdir(&self, path: &str) -> Result<()> {
        let parent = parent(self, path)?;
        namei::mkdir(self, &CreateParent::new(&parent, true)?, 0o755).map(drop)
    }
    fn open(&self, path: &str, flags: OpenFlags) -> Result<Arc<OpenFile>> {
        let how = OpenHow::new(flags, 0o644, LookupFlags::empty())?;
        open(self, None, path.as_bytes(), how)
    }
    fn put(&self, path: &str, text: &str) -> Result<()> {
        let file = self.open(path, OpenFlags::CREAT | OpenFlags::WRONLY | OpenFlags::TRUNC)?;
        let written = file.inode.write_at(0, &mut KernelSrc::new(text.as_bytes()))?;
        assert_eq!(written, text.len());
        Ok(())
    }
    fn get(&self, path: &str) -> Result<Vec<u8>> {
        let file = self.open(path, OpenFlags::empty())?;
        let mut data = alloc::vec![0; file.inode.metadata().size as usize];
        file.inode.read_at(0, &mut KernelDst::new(&mut data))?;
        Ok(data)
    }
    fn symlink(&self, target: &str, path: &str) -> Result<()> {
        let parent = parent(self, path)?;
        namei::symlink(self, &CreateParent::new(&parent, false)?, target.as_bytes()).map(drop)
    }
    fn link(&self, old: &str, new: &str) -> Result<()> {
        let old = self.walk(old)?;
        let parent = parent(self, new)?;
        namei::link(self, &old, &CreateParent::new(&parent, false)?)
    }
    fn unlink(&self, path: &str) -> Result<()> {
        namei::unlink(self, &parent(self, path)?)
    }
    fn rmdir(&self, path: &str) -> Result<()> {
        namei::rmdir(self, &parent(self, path)?)
    }
    fn rename(&self, old: &str, new: &str, flags: namei::RenameFlags) -> Result<()> {
        namei::rename(self, &parent(self, old)?, &parent(self, new)?, flags)
    }
    fn mount(&self, source: &str, target: &str, fs_type: &str, flags: u32, data: &str) -> Result<()> {
        let target = self.walk(target)?;
        mount::do_mount(
            self,
            Some(source.as_bytes()),
            &target,
            Some(fs_type.as_bytes()),
            flags,
            data.as_bytes(),
        )
    }
    fn umount(&self, target: &str, flags: mount::UmountFlags) -> Result<()> {
        let lookup = LookupFlags::FOLLOW | LookupFlags::MOUNTPOINT;
        let target = namei::path_lookup(self, None, target.as_bytes(), lookup)?;
        mount::umount(self, target, flags)
    }
}
