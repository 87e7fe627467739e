//! A process that the OOM killer has killed, until what it held is given back.
//!
//! The address space of the process keeps an [`OomVictim`], and so does each of its threads while it exits,
//! until it has closed its files and left its namespaces: pipes, sockets and mounts are memory as well. As long as
//! there is one, and [`Patience`](super::patience) lasts, nobody else is killed for the same reason: for the machine,
//! or for the cgroup of the victim or one above it. Linux forgets a victim as soon as its pages are gone, and may
//! kill a second process for what the files of the first still hold.

use alloc::sync::Arc;
use core::sync::atomic::Ordering;

use crate::mm::memcg::MemCgroup;
use crate::mm::{Memory, Mm};

/// Counts in [`Memory::oom_victims`] and in [`MemCgroup::oom_victims`] of its cgroup and those above.
pub struct OomVictim {
    memory: Arc<Memory>,
    memcg: Arc<MemCgroup>,
}

impl OomVictim {
    fn new(memory: Arc<Memory>, memcg: Arc<MemCgroup>) -> Arc<OomVictim> {
        memory.oom_victims.fetch_add(1, Ordering::SeqCst);
        memory.oom_patience.restart();
        for at in memcg.self_and_ancestors() {
            at.oom_victims.fetch_add(1, Ordering::SeqCst);
            at.oom_patience.restart();
        }
        Arc::new(OomVictim { memory, memcg })
    }
}

impl Drop for OomVictim {
    fn drop(&mut self) {
        for at in self.memcg.self_and_ancestors() {
            at.oom_victims.fetch_sub(1, Ordering::SeqCst);
            at.oom_patience.restart();
        }
        self.memory.oom_victims.fetch_sub(1, Ordering::SeqCst);
        self.memory.oom_patience.restart();
    }
}

impl Mm {
    /// Its process is being killed for its memory (Linux's `mark_oom_victim`).
    pub(super) fn mark_oom_victim(&self) {
        let victim = OomVictim::new(self.core.memory.clone(), self.memcg());
        let extra = {
            let mut marked = self.core.oom_victim.lock();
            match *marked {
                Some(_) => Some(victim),
                None => {
                    *marked = Some(victim);
                    None
                }
            }
        };
        drop(extra);
    }

    /// The mark, if the killer has chosen it.
    pub fn oom_victim(&self) -> Option<Arc<OomVictim>> {
        self.core.oom_victim.lock().clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mm::testing::memory;

    #[test]
    fn a_victim_counts_until_its_last_thread_has_closed_its_files() {
        let (_hal, memory) = memory(64);
        let mm = Mm::with(&memory).unwrap();
        let counts = || {
            let root = memory.control.root();
            (
                memory.oom_victims.load(Ordering::SeqCst),
                root.oom_victims.load(Ordering::SeqCst),
            )
        };
        assert!(mm.oom_victim().is_none());
        mm.mark_oom_victim();
        mm.mark_oom_victim();
        assert_eq!(counts(), (1, 1));
        let exiting = mm.oom_victim();
        drop(mm);
        assert_eq!(counts(), (1, 1));
        drop(exiting);
        assert_eq!(counts(), (0, 0));
    }
}
