//! What a process takes back when it ends (`SEM_UNDO`, Linux's `sem_undo_list`).
//!
//! Tasks with `CLONE_SYSVSEM` share one list; the last that leaves it, by its exit or by entering another IPC
//! namespace, applies the adjustments. The adjustments themselves stand in the sets, under their locks, in a row
//! with the number of the list; the list only knows in which sets it has rows.

use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::sync::atomic::Ordering;

use super::{SemArray, SemWaiter};
use crate::ensure;
use crate::error::Result;
use crate::ids::KoID;
use crate::ipc::seconds;
use crate::sync::{SpinLock, class};
use crate::task::Task;

/// The list.
pub struct SemUndoList {
    id: KoID,
    arrays: SpinLock<Vec<Weak<SemArray>>, class::Leaf>,
}

impl SemUndoList {
    /// The number of its rows.
    pub fn id(&self) -> u64 {
        self.id.0
    }

    /// Makes its row in a set. `EIDRM`, `ENOMEM`.
    pub fn enter(&self, array: &Arc<SemArray>) -> Result<()> {
        {
            let mut arrays = self.arrays.lock();
            let known = arrays
                .iter()
                .any(|known| core::ptr::eq(known.as_ptr(), Arc::as_ptr(array)));
            if !known {
                // Those that were removed since are forgotten.
                arrays.retain(|array| array.strong_count() > 0);
                ensure!(arrays.try_reserve(1).is_ok(), ENOMEM, "no memory for adjustments");
                arrays.push(Arc::downgrade(array));
            }
        }
        array.lock()?.add_undo(self.id())
    }

    /// Applies all adjustments, in the name of `task`.
    fn apply(self, task: &Task) {
        let now = seconds(task.kernel());
        let pid = &task.group().tgid;
        for array in self.arrays.into_inner() {
            let Some(array) = array.upgrade() else { continue };
            if let Ok(mut set) = array.lock()
                && let Some(ended) = set.apply_undo(self.id.0, pid)
            {
                array.otime.store(now, Ordering::Relaxed);
                let told = SemWaiter::end_all(ended);
                drop(set);
                drop(told);
            }
        }
    }
}

impl Task {
    /// The task's list of adjustments, made at its first use (Linux's `get_undo_list`).
    pub fn sem_undo(&self) -> Arc<SemUndoList> {
        let mut slot = self.sysvsem.lock();
        let list = slot.get_or_insert_with(|| {
            Arc::new(SemUndoList {
                id: self.kernel().koids.allocate(),
                arrays: SpinLock::new(Vec::new()),
            })
        });
        list.clone()
    }

    /// Leaves the list; the last user applies it (Linux's `exit_sem`).
    pub fn exit_sem(&self) {
        let list = self.sysvsem.lock().take();
        if let Some(list) = list.and_then(Arc::into_inner) {
            list.apply(self);
        }
    }
}
