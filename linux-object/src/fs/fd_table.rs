//! File descriptor tables (Linux's `files_struct`).
//!
//! A descriptor may be *reserved* before its file exists, so that `open(2)` fails with `EMFILE` before
//! it has had an effect. Files leave the table under its lock and are dropped after it, since
//! the last reference to a file may run anything.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU32, Ordering};

use super::OpenFile;
use crate::error::Result;
use crate::ids::Fd;
use crate::kernel::Kernel;
use crate::mm::memcg::{Item, KmemCharge, MemControl};
use crate::sync::{SpinLock, class};
use crate::{bail, ensure, err};

/// The descriptors of a process.
pub struct FileTable {
    inner: SpinLock<Inner, class::FileTable>,
    control: Arc<MemControl>,
    /// Tasks that share it (Linux's `count`, without those who only look).
    pub users: AtomicU32,
}

#[derive(Default)]
struct Inner {
    files: Vec<Option<Arc<OpenFile>>>,
    /// Bit n: descriptor n is in use or reserved.
    taken: Vec<u64>,
    /// Bit n: `FD_CLOEXEC`.
    cloexec: Vec<u64>,
    /// No descriptor below is free.
    first_free: u32,
    memory: KmemCharge,
}

/// The table that every process has; larger ones are charged to who makes them so.
const USUAL_LEN: usize = 64;

impl Inner {
    fn grow(&mut self, control: &Arc<MemControl>, len: usize) -> Result<()> {
        if self.files.len() < len {
            let len = len.next_power_of_two().max(USUAL_LEN);
            let words = len / 64;
            let memory = if len > USUAL_LEN {
                let bytes = len * size_of::<Option<Arc<OpenFile>>>() + 2 * words * size_of::<u64>();
                // No object is larger on Linux, where the limit of descriptors can be set beyond this too.
                ensure!(
                    bytes <= i32::MAX as usize,
                    ENOMEM,
                    "a table of descriptors above 2 GiB"
                );
                control.charge_kmem(bytes, Item::Slab)?
            } else {
                KmemCharge::none()
            };
            if self.files.try_reserve(len - self.files.len()).is_err()
                || self.taken.try_reserve(words - self.taken.len()).is_err()
                || self.cloexec.try_reserve(words - self.cloexec.len()).is_err()
            {
                bail!(ENOMEM, "no memory for the descriptor table");
            }
            self.files.resize(len, None);
            self.taken.resize(words, 0);
            self.cloexec.resize(words, 0);
            // The smaller table is given back, by who paid for it.
            self.memory = memory;
        }
        Ok(())
    }

    fn find_free(&self, min: u32) -> u32 {
        let start = min.max(self.first_free);
        let mut word = start as usize / 64;
        let mut mask = !0u64 << (start % 64);
        while word < self.taken.len() {
            let free = !self.taken[word] & mask;
            if free != 0 {
                return word as u32 * 64 + free.trailing_zeros();
            }
            mask = !0;
            word += 1;
        }
        start.max(self.taken.len() as u32 * 64)
    }

    fn set(bits: &mut [u64], fd: usize, on: bool) {
        if on {
            bits[fd / 64] |= 1 << (fd % 64);
        } else {
            bits[fd / 64] &= !(1 << (fd % 64));
        }
    }

    fn has(bits: &[u64], fd: usize) -> bool {
        bits[fd / 64] >> (fd % 64) & 1 != 0
    }

    fn reserve(&mut self, control: &Arc<MemControl>, min: u32, limit: u64, cloexec: bool) -> Result<u32> {
        let fd = self.find_free(min);
        ensure!(u64::from(fd) < limit, EMFILE, "RLIMIT_NOFILE");
        self.grow(control, fd as usize + 1)?;
        Inner::set(&mut self.taken, fd as usize, true);
        Inner::set(&mut self.cloexec, fd as usize, cloexec);
        if min <= self.first_free {
            self.first_free = fd + 1;
        }
        Ok(fd)
    }

    fn release(&mut self, fd: usize) -> Option<Arc<OpenFile>> {
        Inner::set(&mut self.taken, fd, false);
        Inner::set(&mut self.cloexec, fd, false);
        self.first_free = self.first_free.min(fd as u32);
        self.files[fd].take()
    }
}

/// A descriptor that belongs to nobody yet; given back when dropped.
#[must_use]
pub struct ReservedFd<'a> {
    table: &'a FileTable,
    fd: u32,
}

impl ReservedFd<'_> {
    /// Its number.
    pub fn fd(&self) -> Fd {
        Fd(self.fd as i32)
    }
    /// Puts the file there (Linux's `fd_install`).
    pub fn install(self, file: Arc<OpenFile>) -> Fd {
        let fd = self.fd();
        self.table.inner.lock().files[self.fd as usize] = Some(file);
        core::mem::forget(self);
        fd
    }
}

impl Drop for ReservedFd<'_> {
    fn drop(&mut self) {
        self.table.inner.lock().release(self.fd as usize);
    }
}

impl FileTable {
    fn with(inner: Inner, control: &Arc<MemControl>) -> Arc<FileTable> {
        Arc::new(FileTable {
            inner: SpinLock::new(inner),
            control: control.clone(),
            users: AtomicU32::new(1),
        })
    }

    /// An empty table.
    pub fn new(kernel: &Kernel) -> Arc<FileTable> {
        FileTable::with(Inner::default(), &kernel.memory.control)
    }

    /// What owns the POSIX record locks that are taken through this table.
    pub fn lock_owner(&self) -> usize {
        core::ptr::from_ref(self).addr()
    }

    /// The open file behind a descriptor; `EBADF`. Files opened with `O_PATH` are found too.
    #[inline]
    pub fn get(&self, fd: Fd) -> Result<Arc<OpenFile>> {
        let inner = self.inner.lock();
        match inner.files.get(fd.0 as usize) {
            Some(Some(file)) => Ok(file.clone()),
            _ => bail!(EBADF),
        }
    }

    /// Likewise, but not for `O_PATH` (Linux's `fdget`).
    #[inline]
    pub fn get_rw(&self, fd: Fd) -> Result<Arc<OpenFile>> {
        let file = self.get(fd)?;
        ensure!(!file.is_path(), EBADF, "opened with O_PATH");
        Ok(file)
    }

    /// Takes the lowest free number from `min` on, below `limit`; `EMFILE`.
    pub fn reserve(&self, cloexec: bool, min: u32, limit: u64) -> Result<ReservedFd<'_>> {
        let fd = self.inner.lock().reserve(&self.control, min, limit, cloexec)?;
        Ok(ReservedFd { table: self, fd })
    }

    /// Puts a file at the lowest free number from `min` on, below `limit`; `EMFILE`.
    pub fn install(&self, file: Arc<OpenFile>, cloexec: bool, min: u32, limit: u64) -> Result<Fd> {
        let mut inner = self.inner.lock();
        match inner.reserve(&self.control, min, limit, cloexec) {
            Ok(fd) => {
                inner.files[fd as usize] = Some(file);
                Ok(Fd(fd as i32))
            }
            Err(error) => {
                drop(inner);
                drop(file);
                Err(error)
            }
        }
    }

    /// Puts a file at this very number; returns what was there (`dup2`). `EBADF` over the limit, `EBUSY`
    /// if the number is reserved by an `open` under way.
    pub fn replace(
        &self,
        fd: Fd,
        file: Arc<OpenFile>,
        cloexec: bool,
        limit: u64,
    ) -> Result<Option<Arc<OpenFile>>> {
        ensure!(fd.0 >= 0 && (fd.0 as u64) < limit, EBADF, "RLIMIT_NOFILE");
        let at = fd.0 as usize;
        let mut inner = self.inner.lock();
        inner.grow(&self.control, at + 1)?;
        if Inner::has(&inner.taken, at) && inner.files[at].is_none() {
            bail!(EBUSY, "the descriptor is being opened");
        }
        Inner::set(&mut inner.taken, at, true);
        Inner::set(&mut inner.cloexec, at, cloexec);
        Ok(inner.files[at].replace(file))
    }

    /// Removes a descriptor. The caller then calls [`OpenFile::close`](super::OpenFile::close).
    pub fn close(&self, fd: Fd) -> Result<Arc<OpenFile>> {
        let mut inner = self.inner.lock();
        match inner.files.get(fd.0 as usize) {
            Some(Some(_)) => inner.release(fd.0 as usize).ok_or(err!(EBADF)),
            _ => bail!(EBADF),
        }
    }

    /// Removes and returns the first open descriptor in `from..=to` for which `want` holds, given its
    /// close-on-exec flag.
    pub fn close_next(&self, from: u32, to: u32, want: impl Fn(bool) -> bool) -> Option<(Fd, Arc<OpenFile>)> {
        let mut inner = self.inner.lock();
        let end = inner.files.len().min(to as usize + 1);
        let fd = (from as usize..end)
            .find(|&fd| inner.files[fd].is_some() && want(Inner::has(&inner.cloexec, fd)))?;
        Some((Fd(fd as i32), inner.release(fd)?))
    }

    /// The `FD_CLOEXEC` flag.
    pub fn cloexec(&self, fd: Fd) -> Result<bool> {
        let inner = self.inner.lock();
        match inner.files.get(fd.0 as usize) {
            Some(Some(_)) => Ok(Inner::has(&inner.cloexec, fd.0 as usize)),
            _ => bail!(EBADF),
        }
    }

    /// Sets the `FD_CLOEXEC` flag.
    pub fn set_cloexec(&self, fd: Fd, on: bool) -> Result<()> {
        let mut inner = self.inner.lock();
        match inner.files.get(fd.0 as usize) {
            Some(Some(_)) => {
                Inner::set(&mut inner.cloexec, fd.0 as usize, on);
                Ok(())
            }
            _ => bail!(EBADF),
        }
    }

    /// Sets `FD_CLOEXEC` on a range (`CLOSE_RANGE_CLOEXEC`).
    pub fn set_cloexec_range(&self, from: u32, to: u32) {
        let mut inner = self.inner.lock();
        let end = inner.files.len().min(to as usize + 1);
        for fd in from as usize..end {
            if inner.files[fd].is_some() {
                Inner::set(&mut inner.cloexec, fd, true);
            }
        }
    }

    /// A copy for a child (`dup_fd`): all open descriptors, below `max` only.
    pub fn fork_below(&self, max: u32) -> Result<Arc<FileTable>> {
        let mut copy = Inner::default();
        {
            let inner = self.inner.lock();
            let last = inner.files.iter().take(max as usize).rposition(Option::is_some);
            if let Some(last) = last {
                copy.grow(&self.control, last + 1)?;
                let mut free = None;
                for fd in 0..=last {
                    match &inner.files[fd] {
                        Some(file) => {
                            copy.files[fd] = Some(file.clone());
                            Inner::set(&mut copy.taken, fd, true);
                            Inner::set(&mut copy.cloexec, fd, Inner::has(&inner.cloexec, fd));
                        }
                        None => free = free.or(Some(fd)),
                    }
                }
                copy.first_free = free.unwrap_or(last + 1) as u32;
            }
        }
        Ok(FileTable::with(copy, &self.control))
    }

    /// A copy for a child (`dup_fd`).
    pub fn fork(&self) -> Result<Arc<FileTable>> {
        self.fork_below(u32::MAX)
    }

    /// The open descriptors, for `/proc/PID/fd`.
    pub fn fds(&self) -> Vec<Fd> {
        let inner = self.inner.lock();
        (0..inner.files.len())
            .filter(|&fd| inner.files[fd].is_some())
            .map(|fd| Fd(fd as i32))
            .collect()
    }

    /// The first open descriptor from `from` on.
    pub fn next_fd(&self, from: u32) -> Option<(Fd, Arc<OpenFile>)> {
        let inner = self.inner.lock();
        let fd = (from as usize..inner.files.len()).find(|&fd| inner.files[fd].is_some())?;
        Some((Fd(fd as i32), inner.files[fd].clone()?))
    }

    /// `FDSize` of `/proc/PID/status`.
    pub fn size(&self) -> usize {
        self.inner.lock().files.len()
    }

    /// Closes what `FD_CLOEXEC` marks (`do_close_on_exec`).
    pub fn close_on_exec(&self, task: &Arc<crate::task::Task>) {
        let mut from = 0;
        while let Some((fd, file)) = self.close_next(from, u32::MAX - 1, |cloexec| cloexec) {
            let _ = file.close(task, self);
            from = fd.0 as u32 + 1;
        }
    }

    /// Closes everything (`exit_files`), once the last task has left.
    pub fn close_all(&self, task: &Arc<crate::task::Task>) {
        let mut from = 0;
        while let Some((fd, file)) = self.close_next(from, u32::MAX - 1, |_| true) {
            let _ = file.close(task, self);
            from = fd.0 as u32 + 1;
        }
    }

    /// One more task shares it (`CLONE_FILES`).
    pub fn share(self: &Arc<Self>) -> Arc<FileTable> {
        self.users.fetch_add(1, Ordering::AcqRel);
        self.clone()
    }

    /// A task leaves it; the last one closes everything.
    pub fn leave(&self, task: &Arc<crate::task::Task>) {
        if self.users.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.close_all(task);
        }
    }
}
