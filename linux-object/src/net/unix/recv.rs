//! Packets, and receiving.

use alloc::sync::Arc;
use alloc::vec::Vec;

use super::oob::Place;
use super::send::OVERHEAD;
use super::{Phase, Shutdown, UnixSocket, UnixState, UnixTable, addr, wake_waiting};
use crate::error::Result;
use crate::fs::OpenFile;
use crate::ids::{Kgid, Kuid};
use crate::mm::memcg::KmemCharge;
use crate::net::{MsgFlags, RecvMsg, ScmCreds, SockAddr};
use crate::task::Task;
use crate::{bail, ensure};

/// Files on their way in a message. They count as in flight until they are taken or dropped.
pub(super) struct Rights {
    table: Arc<UnixTable>,
    files: Vec<Arc<OpenFile>>,
    user: Kuid,
}

impl Rights {
    /// `ETOOMANYREFS`: the sender's user has too many files in flight.
    pub fn new(table: &Arc<UnixTable>, task: &Arc<Task>, files: Vec<Arc<OpenFile>>) -> Result<Rights> {
        let user = if files.is_empty() {
            Kuid::ROOT
        } else {
            table.in_flight.admit(task, files.len())?
        };
        table.in_flight.sent(&files, user);
        Ok(Rights {
            table: table.clone(),
            files,
            user,
        })
    }
    /// The files, on their way no more.
    pub fn into_files(mut self) -> Vec<Arc<OpenFile>> {
        self.take()
    }
    fn take(&mut self) -> Vec<Arc<OpenFile>> {
        let files = core::mem::take(&mut self.files);
        self.table.in_flight.arrived(&files, self.user);
        files
    }
    pub fn files(&self) -> &[Arc<OpenFile>] {
        &self.files
    }
}

impl Drop for Rights {
    fn drop(&mut self) {
        drop(self.take());
    }
}

/// A message, or a part of a stream.
pub(super) struct Packet {
    sender: Arc<UnixSocket>,
    data: Vec<u8>,
    /// Bytes of a stream that were read.
    pos: usize,
    pub rights: Option<Rights>,
    creds: Option<ScmCreds>,
    charged: usize,
    _memory: KmemCharge,
}

impl Packet {
    pub fn new(
        sender: &Arc<UnixSocket>,
        data: Vec<u8>,
        rights: Option<Rights>,
        creds: Option<ScmCreds>,
        memory: KmemCharge,
    ) -> Packet {
        let charged = data.len() + OVERHEAD;
        sender.charge(charged);
        Packet {
            sender: sender.clone(),
            data,
            pos: 0,
            rights: rights.filter(|rights| !rights.files().is_empty()),
            creds,
            charged,
            _memory: memory,
        }
    }
    /// Bytes not read yet.
    pub fn remaining(&self) -> usize {
        self.data.len() - self.pos
    }
    /// The first byte.
    pub fn first(&self) -> u8 {
        self.data.first().copied().unwrap_or(0)
    }
    /// All of it was taken, and it stays where it is.
    pub fn spend(&mut self) {
        self.pos = self.data.len();
    }
    /// Whether that happened.
    pub fn is_spent(&self) -> bool {
        self.pos > 0 && self.remaining() == 0
    }
    /// Takes the files back out.
    pub fn take_files(&mut self) -> Vec<Arc<OpenFile>> {
        self.rights.take().map(Rights::into_files).unwrap_or_default()
    }
    /// Hands the files to a reader: for good, or another reference when it only peeks.
    fn hand_files(&mut self, msg: &mut RecvMsg<'_>) -> Option<Rights> {
        let rights = self.rights.as_mut()?;
        if !msg.want_rights {
            msg.out_flags |= MsgFlags::CTRUNC;
        } else if msg.flags.contains(MsgFlags::PEEK) {
            msg.rights.extend_from_slice(rights.files());
            return None;
        } else {
            msg.rights.append(&mut rights.take());
        }
        if msg.flags.contains(MsgFlags::PEEK) {
            return None;
        }
        self.rights.take()
    }
    fn shown_creds(&self) -> ScmCreds {
        self.creds.clone().unwrap_or(ScmCreds {
            pid: None,
            uid: Kuid(u32::MAX),
            gid: Kgid(u32::MAX),
        })
    }
}

impl Drop for Packet {
    fn drop(&mut self) {
        self.sender.sent_less(self.charged);
    }
}

impl UnixSocket {
    pub(super) fn recv_stream(&self, msg: &mut RecvMsg<'_>) -> Result<usize> {
        // What is used up is dropped when the lock is not held any more.
        let mut used: Vec<Packet> = Vec::new();
        let mut passed: Option<Rights> = None;
        let mut sender = None;
        let mut state = self.state.lock();
        ensure!(
            matches!(state.phase, Phase::Connected | Phase::Dead),
            EINVAL,
            "the socket is not connected"
        );
        let peek = msg.flags.contains(MsgFlags::PEEK);
        let passcred = self.base.passcred();
        let mut done = 0;
        let mut at = 0;
        let inline = self.is_inline();
        let mut stops = false;
        let result = loop {
            if msg.data.remaining() == 0 {
                break Ok(());
            }
            // What the call got before (`MSG_WAITALL`) counts.
            let got = done > 0 || msg.got > 0;
            match state.place(at) {
                Place::Plain => {}
                Place::Mark if got => {
                    stops = true;
                    break Ok(());
                }
                Place::Mark if inline && peek => {}
                Place::Mark if inline => state.urgent = None,
                Place::Mark | Place::Spent if peek => {
                    at += 1;
                    continue;
                }
                place => {
                    used.extend(state.pop());
                    if place == Place::Spent && got {
                        stops = true;
                        break Ok(());
                    }
                    continue;
                }
            }
            let Some(packet) = state.recvq.get_mut(at) else {
                break Ok(());
            };
            if passcred {
                let creds = packet.shown_creds();
                if done > 0 && msg.creds.as_ref() != Some(&creds) {
                    break Ok(());
                }
                msg.creds = Some(creds);
            }
            let want = packet.remaining().min(msg.data.remaining());
            let moved = match msg.data.put(&packet.data[packet.pos..][..want]) {
                Ok(moved) => moved,
                Err(error) => break Err(error),
            };
            done += moved;
            if sender.is_none() {
                sender = Some(packet.sender.clone());
            }
            let had_rights = packet.rights.is_some();
            let leftover = packet.hand_files(msg);
            if leftover.is_some() {
                passed = leftover;
            }
            if peek {
                at += 1;
                if had_rights || moved < want {
                    break Ok(());
                }
                continue;
            }
            packet.pos += moved;
            let emptied = packet.remaining() == 0;
            state.recv_bytes -= moved;
            if emptied {
                used.extend(state.pop());
            }
            if had_rights || !emptied {
                break Ok(());
            }
        };
        let end = self.end_of_data(&state, done);
        drop(state);
        drop(used);
        drop(passed);
        if done > 0 {
            msg.addr = sender.and_then(|sender| sender.shown_name());
            return Ok(done);
        }
        result?;
        if stops || msg.data.remaining() == 0 {
            return Ok(0);
        }
        end
    }

    /// What a reader that got nothing is told.
    fn end_of_data(&self, state: &UnixState, done: usize) -> Result<usize> {
        if done > 0 {
            return Ok(done);
        }
        self.base.take_error()?;
        if state.shutdown.contains(Shutdown::RECV) {
            return Ok(0);
        }
        bail!(EAGAIN, "nothing was received");
    }

    pub(super) fn recv_datagram(&self, msg: &mut RecvMsg<'_>) -> Result<usize> {
        ensure!(
            !msg.flags.contains(MsgFlags::OOB),
            EOPNOTSUPP,
            "no out-of-band data"
        );
        let mut state = self.state.lock();
        if self.is_seqpacket() {
            ensure!(
                matches!(state.phase, Phase::Connected | Phase::Dead),
                ENOTCONN,
                "the socket is not connected"
            );
        }
        let Some(packet) = state.recvq.front_mut() else {
            return self.end_of_data(&state, 0);
        };
        let len = packet.remaining();
        let moved = len.min(msg.data.remaining());
        msg.data.put_all(&packet.data[..moved])?;
        if moved < len {
            msg.out_flags |= MsgFlags::TRUNC;
        }
        if self.base.passcred() {
            msg.creds = Some(packet.shown_creds());
        }
        let leftover = packet.hand_files(msg);
        let sender = packet.sender.clone();
        let mut used = None;
        let mut waiting = Vec::new();
        if !msg.flags.contains(MsgFlags::PEEK) {
            used = state.pop();
            waiting = core::mem::take(&mut state.waiting);
        }
        drop(state);
        drop(leftover);
        drop(used);
        wake_waiting(waiting);
        msg.addr = sender.shown_name();
        Ok(if msg.flags.contains(MsgFlags::TRUNC) {
            len
        } else {
            moved
        })
    }

    /// Its name for a receiver, if it has one.
    fn shown_name(&self) -> Option<SockAddr> {
        let addr = self.state.lock().addr.clone()?;
        Some(addr::sockaddr(Some(&addr)))
    }

    /// The files in the receive queue and in those of connections that wait, for the garbage collector.
    pub(super) fn for_each_file(&self, f: &mut dyn FnMut(&Arc<OpenFile>)) {
        let embryos = {
            let state = self.state.lock();
            for packet in &state.recvq {
                if let Some(rights) = &packet.rights {
                    rights.files().iter().for_each(&mut *f);
                }
            }
            state.embryos.clone()
        };
        for embryo in embryos {
            embryo.for_each_file(f);
        }
    }

    /// Takes the files out of the receive queue, to be dropped by the garbage collector.
    pub(super) fn strip_files(&self) -> Vec<Rights> {
        let (mut stripped, embryos) = {
            let mut state = self.state.lock();
            let stripped: Vec<_> = state
                .recvq
                .iter_mut()
                .filter_map(|packet| packet.rights.take())
                .collect();
            (stripped, state.embryos.clone())
        };
        for embryo in embryos {
            stripped.append(&mut embryo.strip_files());
        }
        stripped
    }
}
