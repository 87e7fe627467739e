//! `/dev/kmsg` (Linux's `Documentation/ABI/testing/dev-kmsg`): the kernel log, a record per read.

use alloc::format;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::any::Any;

use super::io::{IoDst, IoSrc};
use super::{FileOps, OpenFile, OpenFlags, PollEvents};
use crate::cred::Capability;
use crate::error::Result;
use crate::kernel::Kernel;
use crate::log_ring::Record;
use crate::sync::{SpinLock, WaitQueue, class};
use crate::task::Task;
use crate::{bail, ensure, err};

/// Longest line that may be written.
const LINE_MAX: usize = 1024 - 32;

/// An open description: the number of the record that it reads next.
pub struct Kmsg {
    kernel: Arc<Kernel>,
    next: SpinLock<u64, class::Leaf>,
}

impl Kmsg {
    /// Opens it at the oldest record. Reading needs `CAP_SYSLOG` where `dmesg_restrict` is set.
    pub fn open(task: &Arc<Task>, flags: OpenFlags) -> Result<Arc<Kmsg>> {
        let kernel = task.kernel();
        if flags.readable() && kernel.sysctl.dmesg_restrict.get() != 0 {
            ensure!(
                task.cred().capable(Capability::SYSLOG),
                EPERM,
                "dmesg_restrict: no CAP_SYSLOG"
            );
        }
        Ok(Arc::new(Kmsg {
            kernel: kernel.clone(),
            next: SpinLock::new(kernel.log.first_seq()),
        }))
    }
}

/// `prio,seq,usec,-;text`, bytes that are not printable as `\xHH`.
fn line(record: &Record) -> Vec<u8> {
    let prio = u32::from(record.facility) << 3 | u32::from(record.level);
    let mut line = format!("{prio},{},{},-;", record.seq, record.at.0 / 1000).into_bytes();
    for &byte in &record.text {
        match byte {
            b' '..=b'~' if byte != b'\\' => line.push(byte),
            128.. => line.push(byte),
            _ => line.extend_from_slice(format!("\\x{byte:02x}").as_bytes()),
        }
    }
    line.push(b'\n');
    line
}

impl FileOps for Kmsg {
    fn read(&self, _: &OpenFile, _: &Arc<Task>, _: &mut u64, to: &mut dyn IoDst) -> Result<usize> {
        let log = &self.kernel.log;
        let seq = *self.next.lock();
        let first = log.first_seq();
        if seq < first {
            *self.next.lock() = first;
            bail!(EPIPE, "records were overwritten");
        }
        let record = log.get(seq).ok_or(err!(EAGAIN, "no new record"))?;
        let line = line(&record);
        ensure!(line.len() <= to.remaining(), EINVAL, "no room for one record");
        *self.next.lock() = seq + 1;
        to.put_all(&line)?;
        Ok(line.len())
    }
    fn write(&self, _: &OpenFile, _: &Arc<Task>, _: &mut u64, from: &mut dyn IoSrc) -> Result<usize> {
        let len = from.remaining();
        ensure!(len <= LINE_MAX, EINVAL, "a line of more than 992 bytes");
        let mut text = alloc::vec![0; len];
        from.take_all(&mut text)?;
        // `<N>` in front is the priority; user space does not speak for the kernel.
        let (mut level, mut facility) = (4u8, 1u8);
        let mut start = 0;
        if text.first() == Some(&b'<')
            && let Some(end) = text.iter().position(|&byte| byte == b'>')
            && let Some(prio) = core::str::from_utf8(&text[1..end])
                .ok()
                .and_then(|number| number.parse::<u32>().ok())
        {
            level = (prio & 7) as u8;
            if prio >> 3 != 0 {
                facility = (prio >> 3) as u8;
            }
            start = end + 1;
        }
        let body = text[start..].strip_suffix(b"\n").unwrap_or(&text[start..]);
        let log = &self.kernel.log;
        log.append(self.kernel.time.now(), level, facility, body);
        log.wake();
        Ok(len)
    }
    fn seekable(&self) -> bool {
        true
    }
    fn takes_outer_locks(&self) -> bool {
        true
    }
    fn seek(&self, _: &OpenFile, offset: i64, whence: u32) -> Option<Result<u64>> {
        const SEEK_DATA: u32 = 3;
        if offset != 0 {
            return Some(Err(err!(ESPIPE)));
        }
        let log = &self.kernel.log;
        let seq = match whence {
            0 => log.first_seq(),
            2 => log.next_seq(),
            SEEK_DATA => log.clear_seq(),
            _ => return Some(Err(err!(EINVAL))),
        };
        *self.next.lock() = seq;
        Some(Ok(0))
    }
    fn poll(&self, _: &OpenFile, _: &Arc<Task>) -> PollEvents {
        let next = *self.next.lock();
        let log = &self.kernel.log;
        let mut events = PollEvents::empty();
        if next < log.next_seq() {
            events |= PollEvents::READABLE;
        }
        if next < log.first_seq() {
            events |= PollEvents::ERR | PollEvents::PRI;
        }
        events
    }
    fn wait_queue(&self) -> Option<&WaitQueue> {
        Some(&self.kernel.log.queue)
    }
    fn as_any(&self) -> &dyn Any {
        self
    }
}
