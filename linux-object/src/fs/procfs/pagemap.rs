//! `/proc/PID/pagemap`: one word for each page of an address space.

use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::any::Any;

use crate::cred::Capability;
use crate::ensure;
use crate::error::Result;
use crate::fs::io::IoDst;
use crate::fs::{FileOps, OpenFile};
use crate::ids::USER_END;
use crate::mm::{Mm, PAGEMAP_ENTRY};
use crate::task::Task;

/// An open description. It keeps no memory alive: once the address space is gone, reads find nothing.
pub(super) struct PagemapFile {
    pub mm: Option<Weak<Mm>>,
}

/// Entries that are gathered at once, the areas locked.
const CHUNK: usize = 512;

impl FileOps for PagemapFile {
    fn read(&self, file: &OpenFile, task: &Arc<Task>, offset: &mut u64, to: &mut dyn IoDst) -> Result<usize> {
        ensure!(
            offset.is_multiple_of(PAGEMAP_ENTRY) && (to.remaining() as u64).is_multiple_of(PAGEMAP_ENTRY),
            EINVAL,
            "pagemap: whole entries only"
        );
        let Some(mm) = self.mm.as_ref().and_then(Weak::upgrade) else {
            return Ok(0);
        };
        let pages = USER_END / crate::ids::PAGE_SIZE as u64;
        let kernel = task.kernel();
        let frames = file.cred.ns_capable(&kernel.init_user_ns, Capability::SYS_ADMIN);
        let mut total = 0;
        while to.remaining() > 0 {
            let page = *offset / PAGEMAP_ENTRY;
            let left = pages.saturating_sub(page).min(CHUNK as u64) as usize;
            let count = left.min(to.remaining() / PAGEMAP_ENTRY as usize);
            if count == 0 {
                break;
            }
            let mut entries = [0; CHUNK];
            mm.pagemap(page * crate::ids::PAGE_SIZE as u64, &mut entries[..count], frames);
            let bytes: Vec<u8> = entries[..count]
                .iter()
                .flat_map(|entry| entry.to_ne_bytes())
                .collect();
            to.put_all(&bytes)?;
            *offset += bytes.len() as u64;
            total += bytes.len();
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
