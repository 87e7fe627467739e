//! Sending.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::Ordering;

use super::addr::UnixAddr;
use super::recv::{Packet, Rights};
use super::{Phase, Shutdown, UnixSocket, UnixState, scm};
use crate::cbpf::PacketInput;
use crate::error::{Errno, Result};
use crate::fs::PollEvents;
use crate::mm::memcg::{Item, KmemCharge};
use crate::net::{MsgFlags, SendMsg};
use crate::task::Task;
use crate::{bail, ensure};

/// Bytes of a stream that one packet takes at most.
const STREAM_CHUNK: usize = 16 << 10;
/// What a packet counts besides its bytes.
pub(super) const OVERHEAD: usize = 256;

impl UnixSocket {
    pub(super) fn send_stream(&self, task: &Arc<Task>, msg: &mut SendMsg<'_>) -> Result<usize> {
        // The last byte goes by itself.
        let urgent = msg.flags.contains(MsgFlags::OOB) as usize;
        ensure!(msg.data.remaining() >= urgent, EOPNOTSUPP, "no byte to be urgent");
        let (peer, phase, shutdown) = {
            let state = self.state.lock();
            (state.peer.clone(), state.phase, state.shutdown)
        };
        if msg.addr.is_some_and(|addr| !addr.is_empty()) {
            if phase == Phase::Connected {
                bail!(EISCONN, "the socket is connected");
            }
            bail!(EOPNOTSUPP, "a stream has no addresses");
        }
        let Some(peer) = peer else {
            bail!(ENOTCONN, "the socket is not connected");
        };
        ensure!(!shutdown.contains(Shutdown::SEND), EPIPE, "sending is shut down");
        let this = self.arc()?;
        let creds = msg
            .creds
            .take()
            .or_else(|| peer.takes_creds(self).then(|| scm::own_creds(task)));
        let mut rights = Some(Rights::new(&self.table, task, core::mem::take(&mut msg.rights))?);
        let mut sent = 0;
        let mut marked = false;
        while msg.data.remaining() > 0 {
            let room = self.send_room();
            if room == 0 {
                break;
            }
            let ahead = msg.data.remaining() - urgent;
            let len = if ahead > 0 {
                ahead.min(STREAM_CHUNK).min(room)
            } else {
                1
            };
            let packet = match take(task, msg, len) {
                Ok((data, memory)) => Packet::new(&this, data, rights.take(), creds.clone(), memory),
                Err(_) if sent > 0 => break,
                Err(error) => return Err(error),
            };
            match peer.push_stream(packet, ahead == 0) {
                Ok(()) => sent += len,
                Err(_) if sent > 0 => break,
                Err(error) => return Err(error),
            }
            marked = ahead == 0;
        }
        if sent > 0 {
            let mut events = PollEvents::READABLE;
            if marked {
                peer.base.send_sigurg();
                events |= PollEvents::PRI;
            }
            peer.queue.wake_all(events);
            return Ok(sent);
        }
        if let Some(rights) = rights {
            msg.rights = rights.into_files();
        }
        if msg.data.remaining() == 0 {
            // Nothing to send: only whether it could be.
            let state = peer.state.lock();
            let gone = state.phase == Phase::Dead || state.shutdown.contains(Shutdown::RECV);
            ensure!(!gone, EPIPE, "the other end does not receive");
            return Ok(0);
        }
        bail!(EAGAIN, "the send buffer is full");
    }

    /// Whether messages of `sender` carry its credentials to this socket.
    fn takes_creds(&self, sender: &UnixSocket) -> bool {
        sender.base.passcred() || self.base.passcred() || self.state.lock().embryo
    }

    /// `urgent`: the packet is the mark from now on.
    fn push_stream(&self, packet: Packet, urgent: bool) -> Result<()> {
        let mut state = self.state.lock();
        if state.phase == Phase::Dead || state.shutdown.contains(Shutdown::RECV) {
            drop(state);
            bail!(EPIPE, "the other end does not receive");
        }
        if state.recvq.try_reserve(1).is_err() {
            drop(state);
            bail!(ENOMEM, "no memory for a packet");
        }
        state.recv_bytes += packet.remaining();
        if urgent {
            state.urgent = Some(state.recvq.len());
        }
        state.recvq.push_back(packet);
        Ok(())
    }

    pub(super) fn send_datagram(&self, task: &Arc<Task>, msg: &mut SendMsg<'_>) -> Result<usize> {
        ensure!(
            !msg.flags.contains(MsgFlags::OOB),
            EOPNOTSUPP,
            "no out-of-band data"
        );
        let (mut peer, phase, shutdown) = {
            let state = self.state.lock();
            (state.peer.clone(), state.phase, state.shutdown)
        };
        let mut named = None;
        if self.is_seqpacket() {
            self.base.take_error()?;
            ensure!(phase == Phase::Connected, ENOTCONN, "the socket is not connected");
        } else if let Some(addr) = msg.addr.filter(|addr| !addr.is_empty()) {
            named = Some(UnixAddr::parse(addr)?);
        } else {
            ensure!(peer.is_some(), ENOTCONN, "no destination");
        }
        if self.base.passcred() {
            self.autobind()?;
        }
        let len = msg.data.remaining();
        ensure!(
            len <= self.base.sndbuf().saturating_sub(32),
            EMSGSIZE,
            "the message is larger than the send buffer"
        );
        if self.send_room() == 0 {
            bail!(EAGAIN, "the send buffer is full");
        }
        if let Some(addr) = &named {
            peer = Some(self.find_other(task, addr)?);
        }
        let Some(peer) = peer else {
            bail!(ENOTCONN, "no destination");
        };
        if peer.state.lock().phase == Phase::Dead {
            if self.is_seqpacket() {
                bail!(EPIPE, "the other end is closed");
            }
            if named.is_none() {
                self.forget_peer(&peer);
            }
            bail!(ECONNREFUSED, "the other end is closed");
        }
        ensure!(
            self.is_seqpacket() || peer.accepts_from(self),
            EPERM,
            "the destination is connected to another"
        );
        ensure!(!shutdown.contains(Shutdown::SEND), EPIPE, "sending is shut down");
        let mut filtered = None;
        if peer.base.is_filtered() {
            let (mut data, memory) = take(task, msg, len)?;
            let seen = PacketInput {
                data: &data,
                ..PacketInput::default()
            };
            match peer.base.passes(&seen) {
                Some(keep) => data.truncate(keep),
                None => {
                    // Who sends does not learn of it.
                    msg.rights.clear();
                    return Ok(len);
                }
            }
            filtered = Some((data, memory));
        }
        // Before there is a packet: dropping one would wake the sender that is about to wait.
        peer.wait_if_full(self)?;
        let creds = msg
            .creds
            .clone()
            .or_else(|| peer.takes_creds(self).then(|| scm::own_creds(task)));
        let this = self.arc()?;
        let rights = Rights::new(&self.table, task, core::mem::take(&mut msg.rights))?;
        let (data, memory) = match filtered {
            Some(filtered) => filtered,
            None => take(task, msg, len)?,
        };
        let mut packet = Some(Packet::new(&this, data, Some(rights), creds, memory));
        let pushed = peer.push_datagram(self, &mut packet);
        match (pushed, packet) {
            (Ok(()), _) => {
                peer.queue.wake(PollEvents::READABLE);
                Ok(len)
            }
            (Err(error), Some(mut packet)) if error == Errno::EAGAIN => {
                msg.rights = packet.take_files();
                Err(error)
            }
            (Err(error), _) => Err(error),
        }
    }

    /// `EAGAIN`, and a wake-up later, if the queue has no room for datagrams of `sender`.
    fn wait_if_full(&self, sender: &UnixSocket) -> Result<()> {
        let mut state = self.state.lock();
        if self.has_room(&state, sender) {
            return Ok(());
        }
        UnixSocket::wait_for_room(&mut state, &sender.this);
        bail!(EAGAIN, "the receiver's queue is full");
    }

    /// Whether a datagram of `sender` may join the queue: one from the other end always, those of
    /// strangers up to the limit.
    pub(super) fn has_room(&self, state: &UnixState, sender: &UnixSocket) -> bool {
        let own = core::ptr::eq(self, sender);
        let mutual = matches!(&state.peer, Some(peer) if core::ptr::eq(&**peer, sender));
        own || mutual || state.recvq.len() <= state.backlog
    }

    /// Takes the packet out of `packet`, unless the queue refuses it.
    fn push_datagram(&self, sender: &UnixSocket, packet: &mut Option<Packet>) -> Result<()> {
        let mut state = self.state.lock();
        ensure!(
            !state.shutdown.contains(Shutdown::RECV) && state.phase != Phase::Dead,
            EPIPE,
            "the other end does not receive"
        );
        if !self.has_room(&state, sender) {
            UnixSocket::wait_for_room(&mut state, &sender.this);
            bail!(EAGAIN, "the receiver's queue is full");
        }
        ensure!(
            state.recvq.try_reserve(1).is_ok(),
            ENOMEM,
            "no memory for a packet"
        );
        if let Some(packet) = packet.take() {
            state.recv_bytes += packet.remaining();
            state.recvq.push_back(packet);
        }
        Ok(())
    }

    pub(super) fn charge(&self, size: usize) {
        self.sent.fetch_add(size, Ordering::SeqCst);
    }
}

/// Copies `len` bytes in: the bytes of a packet, and what they cost.
fn take(task: &Task, msg: &mut SendMsg<'_>, len: usize) -> Result<(Vec<u8>, KmemCharge)> {
    let control = &task.kernel().memory.control;
    let memory = control.charge_kmem(len + OVERHEAD, Item::Slab)?;
    let mut data = Vec::new();
    if data.try_reserve_exact(len).is_err() {
        bail!(ENOBUFS, "no memory for a message");
    }
    data.resize(len, 0);
    let taken = msg.data.take(&mut data)?;
    ensure!(taken == len, EFAULT, "the source of a message ended early");
    Ok((data, memory))
}
