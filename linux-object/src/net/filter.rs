//! Filters of what a socket receives: `SO_ATTACH_FILTER` (`socket(7)`,
//! `Documentation/networking/filter.rst`).
//!
//! A program of classic BPF says how many bytes of a packet are kept, counted from where its family begins: the
//! transport header of TCP, UDP and ICMP, the network header of a raw IPv4 socket, the frame of a packet socket, the
//! message of netlink or of an AF_UNIX socket (a stream of which is not filtered); 0 drops it.

use alloc::sync::Arc;
use alloc::vec::Vec;

use super::SockBase;
use crate::cbpf::{Dialect, MAX_INSNS, PacketInput, Program, SockFilter};
use crate::error::Result;
use crate::ids::UserAddr;
use crate::task::Task;
use crate::{bail, ensure};

/// `sizeof(struct sock_fprog)`.
const FPROG: usize = 16;

/// A program, and as it was given.
struct Attached {
    program: Program,
    code: Vec<u8>,
}

/// What a socket lets through.
#[derive(Clone, Default)]
pub(super) struct Filter {
    attached: Option<Arc<Attached>>,
    /// `SO_LOCK_FILTER`: it stays as it is.
    pub locked: bool,
}

impl SockBase {
    /// `SO_ATTACH_FILTER` with a `struct sock_fprog`. `EPERM`: locked; `EINVAL`: not a program.
    pub(super) fn attach_filter(&self, task: &Task, value: &[u8]) -> Result<()> {
        ensure!(value.len() == FPROG, EINVAL, "the option is a struct sock_fprog");
        ensure!(!self.filter.lock().locked, EPERM, "the filter is locked");
        let count = u16::from_ne_bytes([value[0], value[1]]) as usize;
        let mut at = [0; 8];
        at.copy_from_slice(&value[8..]);
        let at = UserAddr(u64::from_ne_bytes(at));
        ensure!(
            at.0 != 0 && (1..=MAX_INSNS).contains(&count),
            EINVAL,
            "a filter has 1 to 4096 instructions"
        );
        let mut raw = Vec::new();
        if raw.try_reserve_exact(count * 8).is_err() {
            bail!(ENOMEM, "no memory for a filter");
        }
        raw.resize(count * 8, 0);
        task.kernel().hal.copy_from_user(&mut raw, at)?;
        let code: Vec<SockFilter> = raw.chunks_exact(8).map(SockFilter::from_bytes).collect();
        let program = Program::check(&code, Dialect::Packet)?;
        let mut filter = self.filter.lock();
        ensure!(!filter.locked, EPERM, "the filter is locked");
        let old = filter.attached.replace(Arc::new(Attached { program, code: raw }));
        self.set_filtered(true);
        drop(filter);
        drop(old);
        Ok(())
    }
    /// `SO_DETACH_FILTER`. `ENOENT`: there is none.
    pub(super) fn detach_filter(&self) -> Result<()> {
        let mut filter = self.filter.lock();
        ensure!(!filter.locked, EPERM, "the filter is locked");
        let old = filter.attached.take();
        self.set_filtered(false);
        drop(filter);
        ensure!(old.is_some(), ENOENT, "there is no filter");
        Ok(())
    }
    /// The instructions of the filter; none: there is no filter.
    pub(super) fn filter_code(&self) -> Vec<u8> {
        let attached = self.filter.lock().attached.clone();
        attached.map_or_else(Vec::new, |attached| attached.code.clone())
    }
    /// `SO_LOCK_FILTER`. `EPERM`: what is locked stays locked.
    pub(super) fn lock_filter(&self, lock: bool) -> Result<()> {
        let mut filter = self.filter.lock();
        ensure!(!filter.locked || lock, EPERM, "the filter is locked");
        filter.locked = lock;
        Ok(())
    }
    /// How many bytes of a packet are kept; `None`: it is dropped.
    pub(super) fn passes(&self, packet: &PacketInput<'_>) -> Option<usize> {
        if !self.is_filtered() {
            return Some(packet.data.len());
        }
        let attached = self.filter.lock().attached.clone();
        let keep = match attached {
            Some(attached) => attached.program.run(packet) as usize,
            None => packet.data.len(),
        };
        (keep > 0).then_some(keep.min(packet.data.len()))
    }
}
