//! What a task used (`getrusage(2)`, `times(2)`, `/proc/PID/stat`).
//!
//! A task's own counters are written by whoever runs on its behalf; when it is reaped they are
//! added to its thread group, and a reaped group's to its parent's sum of children.

use core::sync::atomic::{AtomicU64, Ordering};

macro_rules! usage {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// Counters of one task, or of many that are gone.
        #[derive(Default)]
        pub struct Accounting {
            $($(#[$doc])* pub $name: AtomicU64,)*
        }

        /// A reading of [`Accounting`], or a sum of readings.
        #[derive(Clone, Copy, Default, Debug, PartialEq, Eq)]
        pub struct Usage {
            $($(#[$doc])* pub $name: u64,)*
        }

        impl Accounting {
            /// Reads the counters.
            pub fn read(&self) -> Usage {
                Usage { $($name: self.$name.load(Ordering::Relaxed),)* }
            }
            /// Adds a reading; the caller excludes other writers that add.
            pub fn add(&self, usage: &Usage) {
                let mut sum = self.read();
                sum.add(usage);
                $(self.$name.store(sum.$name, Ordering::Relaxed);)*
            }
        }
    };
}

usage! {
    /// Nanoseconds in user mode.
    utime,
    /// Nanoseconds in the kernel.
    stime,
    /// Faults served without waiting for a device.
    min_flt,
    /// Faults that read from a device.
    maj_flt,
    /// Times it gave the CPU up.
    nvcsw,
    /// Times the CPU was taken from it.
    nivcsw,
    /// Blocks of 512 bytes read from devices.
    inblock,
    /// Blocks of 512 bytes written to devices.
    oublock,
    /// Bytes read by system calls, from whatever (`/proc/PID/io`).
    rchar,
    /// Bytes written by system calls.
    wchar,
    /// Reading system calls.
    syscr,
    /// Writing system calls.
    syscw,
    /// Largest resident set in KiB.
    maxrss,
}

impl Usage {
    /// Adds another: sums, and the larger of the two `maxrss`.
    pub fn add(&mut self, other: &Usage) {
        self.utime += other.utime;
        self.stime += other.stime;
        self.min_flt += other.min_flt;
        self.maj_flt += other.maj_flt;
        self.nvcsw += other.nvcsw;
        self.nivcsw += other.nivcsw;
        self.inblock += other.inblock;
        self.oublock += other.oublock;
        self.rchar += other.rchar;
        self.wchar += other.wchar;
        self.syscr += other.syscr;
        self.syscw += other.syscw;
        self.maxrss = self.maxrss.max(other.maxrss);
    }
}

impl Accounting {
    /// Counts a reading call of the owner, who is the only writer.
    #[inline]
    pub fn count_read(&self, bytes: usize) {
        bump(&self.rchar, bytes as u64);
        bump(&self.syscr, 1);
    }
    /// Counts a writing call of the owner, who is the only writer.
    #[inline]
    pub fn count_write(&self, bytes: usize) {
        bump(&self.wchar, bytes as u64);
        bump(&self.syscw, 1);
    }
}

/// Adds without a locked instruction.
#[inline]
fn bump(counter: &AtomicU64, by: u64) {
    counter.store(counter.load(Ordering::Relaxed) + by, Ordering::Relaxed);
}
