//! Who pays for a socket's memory.
//!
//! In cgroup2 it is memory like any other. In v1 it has a counter of its own (`memory.kmem.tcp`), and only where a
//! limit was set before the socket was made; there a limit makes connections slow, with buffers of
//! a page, and breaks none.

use alloc::sync::Arc;
use core::sync::atomic::Ordering::Relaxed;

use crate::bail;
use crate::error::Result;
use crate::ids::PAGE_SIZE;
use crate::mm::memcg::{Item, KmemCharge, MemCgroup, MemControl};
use crate::task::Task;

/// The cgroup of the task that made a socket. What arrives is charged to it, whoever sends it.
#[derive(Clone)]
pub struct Payer {
    control: Arc<MemControl>,
    memcg: Arc<MemCgroup>,
    /// By the rules of v1.
    legacy: bool,
}

/// What a socket's buffer costs; its drop gives it back.
#[derive(Default)]
pub struct SockCharge {
    _memory: KmemCharge,
    /// Pages of this cgroup's own counter for sockets.
    tcp: Option<(Arc<MemCgroup>, u64)>,
}

impl SockCharge {
    /// For nothing.
    pub const fn none() -> SockCharge {
        SockCharge {
            _memory: KmemCharge::none(),
            tcp: None,
        }
    }
}

impl Drop for SockCharge {
    fn drop(&mut self) {
        if let Some((memcg, pages)) = &self.tcp {
            memcg.tcp.uncharge(*pages);
        }
    }
}

impl Payer {
    /// The running task's cgroup.
    pub fn current(task: &Task) -> Payer {
        let control = task.kernel().memory.control.clone();
        let mut memcg = control.current();
        let legacy = !memcg.is_root() && memcg.is_legacy();
        if legacy && !memcg.tcp_active.load(Relaxed) {
            memcg = control.root().clone();
        }
        Payer {
            control,
            memcg,
            legacy,
        }
    }
    /// Charges so many bytes. `ENOMEM`: over the limit.
    pub fn charge(&self, bytes: usize) -> Result<SockCharge> {
        if self.legacy && !self.memcg.is_root() {
            return self.charge_tcp(bytes, true);
        }
        Ok(SockCharge {
            _memory: self.control.charge_kmem_to(&self.memcg, bytes, Item::Sock)?,
            tcp: None,
        })
    }
    /// Charges two buffers of a connection, of `size` bytes each if they fit, and tells how large they may be.
    /// `ENOMEM`: over the limit.
    pub fn charge_buffers(&self, size: usize) -> Result<(SockCharge, usize)> {
        match self.charge(2 * size) {
            Ok(charge) => Ok((charge, size)),
            Err(_) if self.legacy => Ok((self.charge_tcp(2 * PAGE_SIZE, false)?, PAGE_SIZE)),
            Err(error) => Err(error),
        }
    }

    fn charge_tcp(&self, bytes: usize, limited: bool) -> Result<SockCharge> {
        let pages = bytes.div_ceil(PAGE_SIZE) as u64;
        let tcp = &self.memcg.tcp;
        if !limited {
            tcp.charge(pages);
        } else if tcp.try_charge(pages, true).is_err() {
            bail!(ENOMEM, "memory.kmem.tcp.limit_in_bytes of a cgroup");
        }
        Ok(SockCharge {
            _memory: KmemCharge::none(),
            tcp: Some((self.memcg.clone(), pages)),
        })
    }
}
