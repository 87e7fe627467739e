//! User memory as source and destination of transfers.

use linux_object::error::Result;
use linux_object::fs::io::{IoDst, IoSrc};
use linux_object::hal::{Frames, Hal};
use linux_object::ids::{Frame, PAGE_SIZE, USER_END, UserAddr};
use linux_object::{bail, ensure};
use smallvec::SmallVec;

use crate::abi;
use crate::context::Cx;
use crate::user_ptr::UserInPtr;

/// Ranges in a vector at most (`UIO_MAXIOV`).
pub const UIO_MAXIOV: usize = 1024;
/// Bytes that one call moves at most (`MAX_RW_COUNT`).
pub const MAX_RW_COUNT: usize = 0x7fff_f000;

/// Whether a range can be user memory at all (Linux's `access_ok`): asked before anything is moved, and
/// before a call waits. `EFAULT` if not.
pub fn access_ok(addr: UserAddr, len: usize) -> Result<()> {
    ensure!(
        addr.0 <= USER_END && len as u64 <= USER_END - addr.0,
        EFAULT,
        "a buffer beyond user space"
    );
    Ok(())
}

/// How many bytes from `addr` on can be moved. The borders of what is mapped are borders of pages.
fn up_to_fault(addr: UserAddr, len: usize, mut f: impl FnMut(UserAddr, usize, usize) -> Result<()>) -> usize {
    let mut done = 0;
    while done < len {
        let at = addr.offset(done as u64);
        let part = (PAGE_SIZE - at.0 as usize % PAGE_SIZE).min(len - done);
        if f(at, done, part).is_err() {
            break;
        }
        done += part;
    }
    done
}

/// Ranges of user memory, used up from the front. A copy made before a transfer starts it again.
#[derive(Clone)]
pub struct UserIo<'a> {
    hal: &'a dyn Hal,
    ranges: SmallVec<[(UserAddr, usize); 2]>,
    /// The range at hand, and bytes of it that are used up.
    at: usize,
    used: usize,
    remaining: usize,
}

/// A place in a [`UserIo`].
#[derive(Clone, Copy)]
pub struct Mark {
    at: usize,
    used: usize,
    remaining: usize,
}

impl<'a> UserIo<'a> {
    /// One range; longer ones are cut to what one call moves. `EFAULT`: it is not in user space.
    #[inline]
    pub fn new(cx: &Cx<'a>, addr: UserAddr, len: usize) -> Result<UserIo<'a>> {
        let len = len.min(MAX_RW_COUNT);
        access_ok(addr, len)?;
        Ok(UserIo {
            hal: &*cx.kernel.hal,
            ranges: SmallVec::from_slice(&[(addr, len)]),
            at: 0,
            used: 0,
            remaining: len,
        })
    }

    /// The ranges of an array of `struct iovec`. `EINVAL`: too many, or a length below 0.
    /// `EFAULT`: one is not in user space.
    pub fn from_iovec(cx: &Cx<'a>, iov: UserInPtr<abi::IoVec>, count: usize) -> Result<UserIo<'a>> {
        if count > UIO_MAXIOV {
            bail!(EINVAL, "more than 1024 ranges");
        }
        let mut ranges = SmallVec::new();
        if ranges.try_reserve(count).is_err() {
            bail!(ENOMEM, "no memory for the ranges");
        }
        let mut remaining = 0;
        let mut allowed = Ok(());
        for n in 0..count {
            let abi::IoVec { base, len } = iov.at(n).read(cx)?;
            if len > isize::MAX as u64 {
                bail!(EINVAL, "a range has a negative length");
            }
            allowed = allowed.and(access_ok(UserAddr(base), len as usize));
            let len = (len as usize).min(MAX_RW_COUNT - remaining);
            remaining += len;
            ranges.push((UserAddr(base), len));
        }
        allowed?;
        Ok(UserIo {
            hal: &*cx.kernel.hal,
            ranges,
            at: 0,
            used: 0,
            remaining,
        })
    }

    /// The place that a transfer has come to.
    #[inline]
    pub fn mark(&self) -> Mark {
        Mark {
            at: self.at,
            used: self.used,
            remaining: self.remaining,
        }
    }
    /// Back to where `mark` was taken, to try again.
    #[inline]
    pub fn rewind(&mut self, mark: Mark) {
        self.at = mark.at;
        self.used = mark.used;
        self.remaining = mark.remaining;
    }
    /// Bytes that are left.
    pub fn len(&self) -> usize {
        self.remaining
    }
    /// Whether nothing is left.
    pub fn is_empty(&self) -> bool {
        self.remaining == 0
    }

    /// Uses up `len` bytes, range by range, up to the first that cannot be moved; that is a failure only
    /// if it is the very first.
    #[inline]
    fn each(
        &mut self,
        len: usize,
        mut f: impl FnMut(&dyn Hal, UserAddr, usize, usize) -> Result<()>,
    ) -> Result<usize> {
        // Nearly always the range at hand has room for everything.
        if let Some(&(addr, size)) = self.ranges.get(self.at)
            && size - self.used >= len
            && f(self.hal, addr.offset(self.used as u64), 0, len).is_ok()
        {
            self.used += len;
            self.remaining -= len;
            return Ok(len);
        }
        let mut done = 0;
        while done < len
            && let Some(&(addr, size)) = self.ranges.get(self.at)
        {
            let part = (size - self.used).min(len - done);
            if part > 0 {
                let addr = addr.offset(self.used as u64);
                let result = f(self.hal, addr, done, part);
                let moved = match result {
                    Ok(()) => part,
                    Err(_) => up_to_fault(addr, part, |at, skip, len| f(self.hal, at, done + skip, len)),
                };
                done += moved;
                self.used += moved;
                self.remaining -= moved;
                match result {
                    Err(error) if done == 0 => return Err(error),
                    _ if moved < part => break,
                    _ => {}
                }
            }
            if self.used == size {
                self.at += 1;
                self.used = 0;
            }
        }
        Ok(done)
    }
}

impl IoDst for UserIo<'_> {
    fn remaining(&self) -> usize {
        self.remaining
    }
    fn put(&mut self, data: &[u8]) -> Result<usize> {
        self.each(data.len(), |hal, addr, done, part| {
            hal.copy_to_user(addr, &data[done..][..part])
        })
    }
    fn put_frame(&mut self, _: &dyn Frames, frame: Frame, offset: usize, len: usize) -> Result<usize> {
        self.each(len, |hal, addr, done, part| {
            hal.frame_to_user(frame, offset + done, addr, part)
        })
    }
    fn put_zeros(&mut self, len: usize) -> Result<usize> {
        self.each(len, |hal, addr, _, part| hal.clear_user(addr, part))
    }
}

impl IoSrc for UserIo<'_> {
    fn remaining(&self) -> usize {
        self.remaining
    }
    fn take(&mut self, buf: &mut [u8]) -> Result<usize> {
        self.each(buf.len(), |hal, addr, done, part| {
            hal.copy_from_user(&mut buf[done..][..part], addr)
        })
    }
    fn take_frame(&mut self, _: &dyn Frames, frame: Frame, offset: usize, len: usize) -> Result<usize> {
        self.each(len, |hal, addr, done, part| {
            hal.user_to_frame(addr, frame, offset + done, part)
        })
    }
    fn skip_all(&mut self) -> usize {
        core::mem::take(&mut self.remaining)
    }
}
