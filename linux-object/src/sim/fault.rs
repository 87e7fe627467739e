//! Failing allocations (Linux's `fault-injection` with `fail-nth`): of all that the machine is asked for
//! and may refuse (frames, page tables, kernel stacks, address spaces) and all that a memory cgroup is
//! charged, the n-th from now on fails, once.

use core::sync::atomic::{AtomicU64, Ordering};

use super::machine::{Machine, here, is_simulated};
use crate::bail;
use crate::error::Result;

/// Which request fails.
#[derive(Default)]
pub(super) struct FailNth {
    /// Requests until the one that fails; 0: none does.
    left: AtomicU64,
}

impl Machine {
    /// The n-th request from now on fails; 0: none does. Returns whether an earlier call still waits for its
    /// n-th request.
    pub fn fail_nth(&self, n: u64) -> bool {
        self.fail.left.swap(n, Ordering::SeqCst) > 0
    }
    /// Counts a request.
    fn should_fail(&self) -> bool {
        let count = |left: u64| left.checked_sub(1);
        self.fail
            .left
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, count)
            == Ok(1)
    }
    /// A request that can be refused.
    pub(super) fn request(&self) -> Result<()> {
        if self.should_fail() {
            bail!(ENOMEM, "the request that was to fail");
        }
        Ok(())
    }
}

/// Likewise, of whatever machine the caller is on; nothing fails outside of one.
pub(crate) fn request() -> Result<()> {
    if is_simulated() {
        here().0.request()
    } else {
        Ok(())
    }
}
