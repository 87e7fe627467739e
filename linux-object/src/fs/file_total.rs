//! How many files are open in the whole kernel, and how many may be: `fs.file-nr` and `fs.file-max` (`proc(5)`).

use core::sync::atomic::{AtomicU64, Ordering};

use crate::cred::{Capability, Cred};
use crate::ensure;
use crate::error::Result;
use crate::hal::Hal;
use crate::ids::PAGE_SIZE;
use crate::sysctl::Setting;

/// The open file descriptions of one kernel.
pub struct FileTotal {
    open: AtomicU64,
    /// `fs.file-max`: with so many open, only `CAP_SYS_ADMIN` opens another.
    pub max: Setting,
}

impl FileTotal {
    /// Nothing is open. As in Linux, a tenth of memory may be used, at 1 KiB each.
    pub fn new(hal: &dyn Hal) -> FileTotal {
        let kib = hal.frame_stats().total * (PAGE_SIZE / 1024);
        FileTotal {
            open: AtomicU64::new(0),
            max: Setting::new((kib / 10).max(8192) as i64),
        }
    }
    /// How many are open.
    pub fn open(&self) -> u64 {
        self.open.load(Ordering::Relaxed)
    }
    /// Whether another may be opened. `ENFILE`.
    #[inline]
    pub fn check(&self, cred: &Cred) -> Result<()> {
        ensure!(
            self.open() < self.max.get_u64() || cred.capable(Capability::SYS_ADMIN),
            ENFILE,
            "fs.file-max"
        );
        Ok(())
    }
    pub(super) fn add(&self) {
        self.open.fetch_add(1, Ordering::Relaxed);
    }
    pub(super) fn remove(&self) {
        self.open.fetch_sub(1, Ordering::Relaxed);
    }
}
