//! `/proc/PID/mem`: another task's memory as a file.

use alloc::sync::{Arc, Weak};
use alloc::vec;
use core::any::Any;

use crate::bail;
use crate::error::Result;
use crate::fs::io::{IoDst, IoSrc};
use crate::fs::{FileOps, OpenFile};
use crate::ids::UserAddr;
use crate::mm::Mm;
use crate::task::Task;

/// An open description. It keeps no memory alive: once the address space is gone, reads find
/// nothing.
pub(super) struct MemFile {
    mm: Option<Weak<Mm>>,
}

impl MemFile {
    pub fn new(mm: Option<Weak<Mm>>) -> MemFile {
        MemFile { mm }
    }
    fn mm(&self) -> Option<Arc<Mm>> {
        self.mm.as_ref()?.upgrade()
    }
}

const CHUNK: usize = 4096;

impl FileOps for MemFile {
    fn read(
        &self,
        _file: &OpenFile,
        _task: &Arc<Task>,
        offset: &mut u64,
        to: &mut dyn IoDst,
    ) -> Result<usize> {
        let Some(mm) = self.mm() else { return Ok(0) };
        let mut buf = vec![0u8; CHUNK];
        let mut total = 0;
        while to.remaining() > 0 {
            let len = to.remaining().min(CHUNK);
            let read = mm.read_remote(UserAddr(*offset), &mut buf[..len]).unwrap_or(0);
            to.put_all(&buf[..read])?;
            *offset += read as u64;
            total += read;
            if read < len {
                break;
            }
        }
        if total == 0 && to.remaining() > 0 {
            bail!(EIO, "mem: nothing is mapped there");
        }
        Ok(total)
    }

    fn write(
        &self,
        _file: &OpenFile,
        _task: &Arc<Task>,
        offset: &mut u64,
        from: &mut dyn IoSrc,
    ) -> Result<usize> {
        let Some(mm) = self.mm() else { return Ok(0) };
        let mut buf = vec![0u8; CHUNK];
        let mut total = 0;
        while from.remaining() > 0 {
            let len = from.take(&mut buf)?;
            let written = mm.write_remote(UserAddr(*offset), &buf[..len]).unwrap_or(0);
            *offset += written as u64;
            total += written;
            if written < len {
                break;
            }
        }
        if total == 0 && from.remaining() > 0 {
            bail!(EIO, "mem: nothing is mapped there");
        }
        Ok(total)
    }

    fn takes_outer_locks(&self) -> bool {
        true
    }
    fn seekable(&self) -> bool {
        true
    }
    fn as_any(&self) -> &dyn Any {
        self
    }
}
