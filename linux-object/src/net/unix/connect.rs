//! The life of a socket: bind, listen, connect, accept, shut down, close.

use alloc::sync::Arc;
use core::sync::atomic::Ordering;

use super::addr::{self, UnixAddr};
use super::{PeerCred, Phase, Shutdown, UnixSocket, wake_waiting};
use crate::error::{Errno, Result};
use crate::fs::namei::{CreateParent, LookupFlags, mknod, path_parent};
use crate::fs::{DevT, FileType, Path, PollEvents};
use crate::net::{SockBase, SocketType, af};
use crate::task::Task;
use crate::{bail, ensure};

impl UnixSocket {
    pub(super) fn bind_addr(&self, task: &Arc<Task>, raw: &[u8]) -> Result<()> {
        if addr::is_autobind(raw) {
            return self.autobind();
        }
        let addr = UnixAddr::parse(raw)?;
        ensure!(self.state.lock().addr.is_none(), EINVAL, "the socket is bound");
        match &addr {
            UnixAddr::Abstract(name) => self.bind_abstract(name),
            UnixAddr::Path(name) => {
                let path = make_node(task, name)?;
                let mut state = self.state.lock();
                ensure!(state.addr.is_none(), EINVAL, "the socket is bound");
                if let Some(inode) = path.dentry.inode() {
                    *inode.common().socket.lock() = self.this.clone();
                }
                state.addr = Some(Arc::new(addr));
                state.path = Some(path);
                Ok(())
            }
        }
    }

    fn bind_abstract(&self, name: &[u8]) -> Result<()> {
        let mut state = self.state.lock();
        ensure!(state.addr.is_none(), EINVAL, "the socket is bound");
        self.table.bind(self, name)?;
        state.addr = Some(Arc::new(UnixAddr::Abstract(name.to_vec())));
        Ok(())
    }

    /// Binds to a free abstract name, unless it is bound.
    pub(super) fn autobind(&self) -> Result<()> {
        for _ in 0..1 << 20 {
            if self.state.lock().addr.is_some() {
                return Ok(());
            }
            match self.bind_abstract(&self.table.next_auto()) {
                Err(error) if error == Errno::EADDRINUSE => {}
                Err(error) if error == Errno::EINVAL => return Ok(()),
                done => return done,
            }
        }
        bail!(ENOSPC, "all automatic names are taken");
    }

    pub(super) fn start_listening(&self, task: &Arc<Task>, backlog: u32) -> Result<()> {
        ensure!(
            !self.is_datagram(),
            EOPNOTSUPP,
            "a datagram socket does not listen"
        );
        let waiting = {
            let mut state = self.state.lock();
            ensure!(state.addr.is_some(), EINVAL, "the socket is not bound");
            ensure!(
                matches!(state.phase, Phase::Unconnected | Phase::Listening),
                EINVAL,
                "the socket is connected"
            );
            state.phase = Phase::Listening;
            state.backlog = backlog as usize;
            state.peercred = Some(PeerCred::of(task));
            core::mem::take(&mut state.waiting)
        };
        wake_waiting(waiting);
        Ok(())
    }

    pub(super) fn connect_stream(&self, task: &Arc<Task>, raw: &[u8]) -> Result<()> {
        let addr = UnixAddr::parse(raw)?;
        if self.base.passcred() {
            self.autobind()?;
        }
        let this = self.arc()?;
        let listener = self.find_other(task, &addr)?;
        let base = SockBase::new(self.base.kind, self.base.protocol, &task.kernel().net.core);
        let embryo = UnixSocket::new(base, listener.net_ns, self.table.clone(), 0);
        ensure!(
            !core::ptr::eq(self, &*listener),
            EINVAL,
            "a listening socket does not connect"
        );
        // Our state first, the listener's nested: a listener does not connect, so there is no circle.
        let mut state = self.state.lock();
        match state.phase {
            Phase::Unconnected => {}
            Phase::Connected => bail!(EISCONN, "the socket is connected"),
            _ => bail!(EINVAL, "the socket listens"),
        }
        let mut there = listener.state.lock_nested();
        ensure!(
            there.phase == Phase::Listening && !there.shutdown.contains(Shutdown::RECV),
            ECONNREFUSED,
            "nobody listens there"
        );
        if there.embryos.len() > there.backlog {
            UnixSocket::wait_for_room(&mut there, &self.this);
            bail!(EAGAIN, "the backlog of the listener is full");
        }
        if there.embryos.try_reserve(1).is_err() {
            bail!(ENOMEM, "no memory for a connection");
        }
        {
            let mut new = embryo.state.lock_nested();
            new.phase = Phase::Connected;
            new.embryo = true;
            new.peer = Some(this);
            new.peercred = Some(PeerCred::of(task));
            new.addr = there.addr.clone();
        }
        state.phase = Phase::Connected;
        state.peer = Some(embryo.clone());
        state.peercred = there.peercred.clone();
        there.embryos.push_back(embryo);
        drop(there);
        drop(state);
        listener.queue.wake(PollEvents::READABLE);
        Ok(())
    }

    pub(super) fn connect_datagram(&self, task: &Arc<Task>, raw: &[u8]) -> Result<()> {
        ensure!(raw.len() >= 2, EINVAL, "the address is too short");
        let other = if addr::family(raw) == af::UNSPEC {
            None
        } else {
            let addr = UnixAddr::parse(raw)?;
            if self.base.passcred() {
                self.autobind()?;
            }
            let other = self.find_other(task, &addr)?;
            ensure!(other.accepts_from(self), EPERM, "it is connected to another");
            Some(other)
        };
        let old = {
            let mut state = self.state.lock();
            state.phase = if other.is_some() {
                Phase::Connected
            } else {
                Phase::Unconnected
            };
            core::mem::replace(&mut state.peer, other.clone())
        };
        if let Some(old) = old
            && other.is_none_or(|other| !Arc::ptr_eq(&old, &other))
        {
            // It was connected to us alone: it hears that we are gone, and loses what we sent.
            let back = old
                .state
                .lock()
                .peer
                .as_ref()
                .is_some_and(|p| core::ptr::eq(&**p, self));
            if back {
                self.purge();
                old.base.set_error(Errno::ECONNRESET);
                old.queue.wake_all(PollEvents::all());
            }
        }
        Ok(())
    }

    /// Whether a datagram of `sender` is accepted: the socket is connected to nobody or to it.
    pub(super) fn accepts_from(&self, sender: &UnixSocket) -> bool {
        let state = self.state.lock();
        match &state.peer {
            Some(peer) => core::ptr::eq(&**peer, sender),
            None => true,
        }
    }

    pub(super) fn take_embryo(&self) -> Result<Arc<UnixSocket>> {
        ensure!(
            !self.is_datagram(),
            EOPNOTSUPP,
            "a datagram socket does not accept"
        );
        let (socket, waiting) = {
            let mut state = self.state.lock();
            ensure!(
                state.phase == Phase::Listening,
                EINVAL,
                "the socket does not listen"
            );
            let Some(socket) = state.embryos.pop_front() else {
                ensure!(
                    !state.shutdown.contains(Shutdown::RECV),
                    EINVAL,
                    "the listener is shut down"
                );
                bail!(EAGAIN, "nobody has connected");
            };
            (socket, core::mem::take(&mut state.waiting))
        };
        socket.state.lock().embryo = false;
        wake_waiting(waiting);
        Ok(socket)
    }

    pub(super) fn pair_with(&self, task: &Arc<Task>, other: &UnixSocket) -> Result<()> {
        let cred = PeerCred::of(task);
        for (one, two) in [(self, other), (other, self)] {
            let mut state = one.state.lock();
            state.phase = Phase::Connected;
            state.peer = Some(two.arc()?);
            state.peercred = Some(cred.clone());
        }
        Ok(())
    }

    pub(super) fn shut_down(&self, how: Shutdown) {
        let peer = {
            let mut state = self.state.lock();
            state.shutdown |= how;
            state.peer.clone().filter(|_| !self.is_datagram())
        };
        if let Some(peer) = peer {
            let mut mirrored = Shutdown::empty();
            mirrored.set(Shutdown::RECV, how.contains(Shutdown::SEND));
            mirrored.set(Shutdown::SEND, how.contains(Shutdown::RECV));
            peer.state.lock().shutdown |= mirrored;
            peer.queue.wake_all(PollEvents::all());
        }
        self.queue.wake_all(PollEvents::all());
    }

    /// Drops everything that was received.
    pub(super) fn purge(&self) {
        let packets = {
            let mut state = self.state.lock();
            state.recv_bytes = 0;
            state.urgent = None;
            core::mem::take(&mut state.recvq)
        };
        drop(packets);
    }

    /// Ends the socket (Linux's `unix_release_sock`). Ending it again changes nothing.
    pub(super) fn close(&self) {
        let (addr, path, peer, unread, packets, embryos, waiting) = {
            let mut state = self.state.lock();
            if state.phase == Phase::Dead {
                return;
            }
            state.phase = Phase::Dead;
            state.shutdown = Shutdown::all();
            state.recv_bytes = 0;
            state.urgent = None;
            (
                state.addr.clone(),
                state.path.take(),
                state.peer.take(),
                state.has_unread() || state.embryo,
                core::mem::take(&mut state.recvq),
                core::mem::take(&mut state.embryos),
                core::mem::take(&mut state.waiting),
            )
        };
        self.unbind(addr.as_deref(), path.as_ref());
        if let Some(peer) = peer
            && !self.is_datagram()
        {
            peer.state.lock().shutdown = Shutdown::all();
            if unread {
                peer.base.set_error(Errno::ECONNRESET);
            }
            peer.queue.wake_all(PollEvents::all());
        }
        for embryo in embryos {
            embryo.close();
        }
        drop(packets);
        wake_waiting(waiting);
        self.queue.wake_all(PollEvents::all());
        if self.table.in_flight.any() {
            self.table.in_flight.collect();
        }
    }

    fn unbind(&self, addr: Option<&UnixAddr>, path: Option<&Path>) {
        match addr {
            // An accepted socket has the name of its listener, but does not own it.
            Some(UnixAddr::Abstract(name)) => self.table.unbind(self, name),
            Some(UnixAddr::Path(_)) => {
                if let Some(inode) = path.and_then(|path| path.dentry.inode()) {
                    let mut slot = inode.common().socket.lock();
                    if slot.ptr_eq(&self.this) {
                        *slot = Default::default();
                    }
                }
            }
            None => {}
        }
    }

    /// Whether datagrams of `sender` have to wait.
    pub(super) fn is_full_for(&self, sender: &UnixSocket) -> bool {
        !self.has_room(&self.state.lock(), sender)
    }

    /// Marks a connection as broken from the sender's side (datagram, dead peer).
    pub(super) fn forget_peer(&self, dead: &Arc<UnixSocket>) {
        let old = {
            let mut state = self.state.lock();
            match &state.peer {
                Some(peer) if Arc::ptr_eq(peer, dead) => {
                    state.phase = Phase::Unconnected;
                    state.peer.take()
                }
                _ => None,
            }
        };
        drop(old);
        self.purge();
    }

    /// Whether `SO_TYPE` keeps message borders.
    pub(super) fn is_seqpacket(&self) -> bool {
        self.base.kind == SocketType::SeqPacket
    }

    /// Bytes that may still be sent.
    pub(super) fn send_room(&self) -> usize {
        self.base
            .sndbuf()
            .saturating_sub(self.sent.load(Ordering::SeqCst))
    }
}

/// Makes the socket's file (`mknod` of type socket). `EADDRINUSE`: the name is there.
fn make_node(task: &Arc<Task>, name: &[u8]) -> Result<Path> {
    let make = || {
        let parent = path_parent(task, None, name, LookupFlags::empty())?;
        let at = CreateParent::new(&parent, false)?;
        let mode = 0o777 & !task.fs().umask();
        mknod(task, &at, FileType::Socket, mode, DevT::default())
    };
    match make() {
        Err(error) if error == Errno::EEXIST => bail!(EADDRINUSE, "the name is there"),
        done => done,
    }
}
