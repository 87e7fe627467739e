//! A task's root, working directory and umask (Linux's `fs_struct`), shared by `CLONE_FS`.

use alloc::sync::Arc;
use core::sync::atomic::{AtomicU32, Ordering};

use super::Path;
use crate::sync::{SpinLock, class};

/// Root, working directory, umask.
pub struct FsStruct {
    paths: SpinLock<(Path, Path), class::Leaf>,
    umask: AtomicU32,
    /// Tasks that share it (Linux's `users`); `execve` and `setns` ask. The `Arc` may be held by others
    /// for a moment, so it is counted apart.
    pub users: AtomicU32,
}

impl FsStruct {
    /// With this root as working directory too, and umask 022.
    pub fn new(root: Path) -> Arc<FsStruct> {
        Arc::new(FsStruct {
            paths: SpinLock::new((root.clone(), root)),
            umask: AtomicU32::new(0o022),
            users: AtomicU32::new(1),
        })
    }
    /// A copy of its own (`copy_fs_struct`).
    pub fn fork(&self) -> Arc<FsStruct> {
        let paths = self.paths.lock().clone();
        Arc::new(FsStruct {
            paths: SpinLock::new(paths),
            umask: AtomicU32::new(self.umask()),
            users: AtomicU32::new(1),
        })
    }
    /// The root directory.
    pub fn root(&self) -> Path {
        self.paths.lock().0.clone()
    }
    /// The working directory.
    pub fn pwd(&self) -> Path {
        self.paths.lock().1.clone()
    }
    /// Root and working directory at one instant.
    pub fn root_and_pwd(&self) -> (Path, Path) {
        self.paths.lock().clone()
    }
    /// `chroot(2)`.
    pub fn set_root(&self, root: Path) {
        let old = core::mem::replace(&mut self.paths.lock().0, root);
        drop(old);
    }
    /// `chdir(2)`.
    pub fn set_pwd(&self, pwd: Path) {
        let old = core::mem::replace(&mut self.paths.lock().1, pwd);
        drop(old);
    }
    /// Lets `change` replace both (`pivot_root`, `setns`, a new mount namespace).
    pub fn change(&self, change: impl FnOnce(&mut Path, &mut Path)) {
        let mut guard = self.paths.lock();
        let (mut root, mut pwd) = guard.clone();
        change(&mut root, &mut pwd);
        let old = core::mem::replace(&mut *guard, (root, pwd));
        drop(guard);
        drop(old);
    }
    /// The umask.
    #[inline]
    pub fn umask(&self) -> u32 {
        self.umask.load(Ordering::Relaxed)
    }
    /// Sets the umask; returns the old one.
    pub fn set_umask(&self, umask: u32) -> u32 {
        self.umask.swap(umask & 0o777, Ordering::Relaxed)
    }
    /// One more task shares it (`CLONE_FS`).
    pub fn share(self: &Arc<Self>) -> Arc<FsStruct> {
        self.users.fetch_add(1, Ordering::AcqRel);
        self.clone()
    }
    /// A task leaves it.
    pub fn leave(&self) {
        self.users.fetch_sub(1, Ordering::AcqRel);
    }
}
