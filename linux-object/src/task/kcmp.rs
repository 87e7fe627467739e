//! Which resources of two tasks are one (`kcmp(2)`).
//!
//! Model: a resource is its address. The order that the call gives lets user space sort, and must be the same
//! throughout the kernel's life, but it must not tell addresses: each kind of resource is
//! compared after an exclusive or and a multiplication with random numbers of its own, both of which
//! keep different addresses different.

use alloc::sync::Arc;

use super::Task;
use crate::rng::Rng;

/// What is compared (`KCMP_*`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub enum KcmpType {
    File = 0,
    Vm = 1,
    Files = 2,
    Fs = 3,
    SigHand = 4,
    Io = 5,
    SysVSem = 6,
    EpollTfd = 7,
}

impl KcmpType {
    /// The type with this number.
    pub fn from_number(number: i32) -> Option<KcmpType> {
        use KcmpType::*;
        [File, Vm, Files, Fs, SigHand, Io, SysVSem, EpollTfd]
            .into_iter()
            .find(|&kind| kind as i32 == number)
    }
}

/// The order of resources, kind by kind.
pub struct KcmpOrder {
    cookies: [(u64, u64); 8],
}

impl KcmpOrder {
    /// An order nobody can guess.
    pub fn new(rng: &Rng) -> KcmpOrder {
        KcmpOrder {
            cookies: core::array::from_fn(|_| (rng.next_u64(), rng.next_u64() | 1)),
        }
    }
    /// 0 if both are one, 1 if the first comes before the second, 2 if after.
    pub fn compare(&self, kind: KcmpType, first: usize, second: usize) -> usize {
        let (mask, factor) = self.cookies[kind as usize];
        let place = |addr: usize| (addr as u64 ^ mask).wrapping_mul(factor);
        match place(first).cmp(&place(second)) {
            core::cmp::Ordering::Equal => 0,
            core::cmp::Ordering::Less => 1,
            core::cmp::Ordering::Greater => 2,
        }
    }
}

impl Task {
    /// The address of what the task shares or does not share; 0 if it has none. Files are not compared as parts
    /// of a task.
    pub fn kcmp_part(&self, kind: KcmpType) -> usize {
        fn at<T: ?Sized>(part: Option<&Arc<T>>) -> usize {
            part.map_or(0, |part| Arc::as_ptr(part).addr())
        }
        let parts = self.parts.lock();
        match kind {
            KcmpType::Vm => at(parts.mm.as_ref()),
            KcmpType::Files => at(parts.files.as_ref()),
            KcmpType::Fs => at(parts.fs.as_ref()),
            KcmpType::SigHand => {
                drop(parts);
                at(Some(&self.group().sighand()))
            }
            KcmpType::SysVSem => {
                drop(parts);
                at(self.sysvsem.lock().as_ref())
            }
            KcmpType::Io => {
                drop(parts);
                at(self.io_context.lock().as_ref())
            }
            KcmpType::File | KcmpType::EpollTfd => 0,
        }
    }
}
