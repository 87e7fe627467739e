//! The master side of pseudo-terminals (`pty(7)`).

use alloc::string::String;
use alloc::sync::{Arc, Weak};
use core::any::Any;
use core::sync::atomic::{AtomicU32, Ordering};

use super::devpts::DevPts;
use super::termios::{LocalFlags, Termios};
use super::{After, Device, FLIP_LIMIT, Tty, ioctl};
use crate::error::Result;
use crate::fs::io::{IoDst, IoSrc};
use crate::fs::{DevT, FileOps, OpenFile, PollEvents};
use crate::ids::UserAddr;
use crate::sync::WaitQueue;
use crate::task::{Signal, Task};
use crate::{bail, ensure};

const TIOCPKT_DATA: u8 = 0;
const TIOCPKT_FLUSHREAD: u8 = 1;
const TIOCPKT_FLUSHWRITE: u8 = 2;
const TIOCPKT_STOP: u8 = 4;
const TIOCPKT_START: u8 = 8;
const TIOCPKT_NOSTOP: u8 = 16;
const TIOCPKT_DOSTOP: u8 = 32;
const TIOCPKT_IOCTL: u8 = 64;

/// First major number of slaves.
const UNIX98_PTY_SLAVE_MAJOR: u32 = 136;

/// What a pseudo-terminal has besides a terminal.
#[derive(Default)]
pub(super) struct PtyState {
    /// `TIOCSPTLCK`: the slave cannot be opened yet.
    pub locked: bool,
    /// `TIOCPKT`: reads of the master begin with a status byte.
    pub packet: bool,
    /// What the next packet read tells.
    pub status: u8,
    /// The master is open.
    pub master_open: bool,
    /// The slave was open and is not any more.
    pub slave_closed: bool,
}

impl PtyState {
    fn note(&mut self, clear: u8, set: u8, after: &mut After) {
        if self.packet {
            self.status = self.status & !clear | set;
            after.wake_master |= PollEvents::READABLE | PollEvents::PRI;
        }
    }
    pub fn note_flow(&mut self, started: bool, after: &mut After) {
        if started {
            self.note(TIOCPKT_STOP, TIOCPKT_START, after);
        } else {
            self.note(TIOCPKT_START, TIOCPKT_STOP, after);
        }
    }
    pub fn note_flush(&mut self, input: bool, output: bool, after: &mut After) {
        if input {
            self.note(0, TIOCPKT_FLUSHREAD, after);
        }
        if output {
            self.note(0, TIOCPKT_FLUSHWRITE, after);
        }
    }
    pub fn note_termios(&mut self, old: &Termios, new: &Termios, after: &mut After) {
        let extproc = LocalFlags::EXTPROC;
        if (old.lflag ^ new.lflag).contains(extproc) || new.l(extproc) && old != new {
            self.note(0, TIOCPKT_IOCTL, after);
        }
        match (Tty::does_flow(old), Tty::does_flow(new)) {
            (false, true) => self.note(TIOCPKT_NOSTOP, TIOCPKT_DOSTOP, after),
            (true, false) => self.note(TIOCPKT_DOSTOP, TIOCPKT_NOSTOP, after),
            _ => {}
        }
    }
}

/// How many pseudo-terminals there are (`kernel.pty`).
#[derive(Default)]
pub struct Ptys(AtomicU32);

impl Ptys {
    /// `kernel.pty.nr`.
    pub fn nr(&self) -> u32 {
        self.0.load(Ordering::Relaxed)
    }
    /// Counts one more if they stay below a limit.
    pub(super) fn take(self: &Arc<Ptys>, limit: i64) -> Option<PtyCount> {
        let more = |nr: u32| (i64::from(nr) + 1 < limit).then_some(nr + 1);
        let taken = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
        taken.is_ok().then(|| PtyCount(self.clone()))
    }
}

/// One that is counted.
pub(super) struct PtyCount(Arc<Ptys>);

impl Drop for PtyCount {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// An open master.
pub struct PtyMaster {
    tty: Arc<Tty>,
    index: u32,
    instance: Weak<DevPts>,
    _count: PtyCount,
}

impl PtyMaster {
    /// A new pseudo-terminal with its master open and its slave locked.
    pub(super) fn new(index: u32, instance: &Arc<DevPts>, count: PtyCount) -> Arc<PtyMaster> {
        let dev = DevT::new(UNIX98_PTY_SLAVE_MAJOR, index);
        let tty = Tty::new(Device::Pty, dev, Termios::pty());
        {
            let mut state = tty.state.lock();
            state.pty.locked = true;
            state.pty.master_open = true;
        }
        Arc::new(PtyMaster {
            tty,
            index,
            instance: Arc::downgrade(instance),
            _count: count,
        })
    }
    /// The slave.
    pub fn tty(&self) -> &Arc<Tty> {
        &self.tty
    }
    /// Its number (`TIOCGPTN`).
    pub fn index(&self) -> u32 {
        self.index
    }
    /// The file system that shows it.
    pub fn instance(&self) -> Option<Arc<DevPts>> {
        self.instance.upgrade()
    }
}

impl Drop for PtyMaster {
    fn drop(&mut self) {
        self.tty.state.lock().pty.master_open = false;
        if let Some(instance) = self.instance.upgrade() {
            instance.remove(self.index);
        }
        self.tty.hangup(false);
    }
}

impl Tty {
    /// `TIOCPKT`.
    pub(super) fn set_packet(&self, on: bool) {
        let mut state = self.state.lock();
        if on && !state.pty.packet {
            state.pty.status = 0;
        }
        state.pty.packet = on;
    }

    /// `TIOCSIG`: the master sends a signal of the terminal.
    pub(super) fn signal_from_master(&self, signal: Signal) {
        let pgrp = self.state.lock().pgrp.clone();
        if let Some(pgrp) = pgrp {
            super::job::signal_pgrp(&pgrp, signal);
        }
    }
}

impl FileOps for PtyMaster {
    fn moves_atime(&self) -> bool {
        true
    }
    fn read(&self, _: &OpenFile, _: &Arc<Task>, _: &mut u64, to: &mut dyn IoDst) -> Result<usize> {
        if to.remaining() == 0 {
            return Ok(0);
        }
        let mut after = After::default();
        let mut state = self.tty.state.lock();
        let mut done = 0;
        if state.pty.packet && state.pty.status != 0 {
            let status = core::mem::take(&mut state.pty.status);
            return to.put(&[status]);
        }
        if state.output.is_empty() {
            ensure!(!state.pty.slave_closed, EIO, "the slave is closed");
            bail!(EAGAIN, "nothing was written to the slave");
        }
        if state.pty.packet {
            done += to.put(&[TIOCPKT_DATA])?;
        }
        while to.remaining() > 0 && !state.output.is_empty() {
            let (front, _) = state.output.as_slices();
            let moved = match to.put(front) {
                Ok(moved) => moved,
                Err(_) if done > 0 => break,
                Err(error) => return Err(error),
            };
            state.output.drain(..moved);
            done += moved;
        }
        after.wake |= PollEvents::WRITABLE;
        drop(state);
        self.tty.finish(after);
        Ok(done)
    }
    fn write(&self, _: &OpenFile, task: &Arc<Task>, _: &mut u64, from: &mut dyn IoSrc) -> Result<usize> {
        let mut done = 0;
        let now = task.kernel().time.now();
        let mut chunk = [0; 512];
        while from.remaining() > 0 {
            let mut after = After::default();
            let mut state = self.tty.state.lock();
            let room = FLIP_LIMIT.saturating_sub(state.input.len());
            let len = from.remaining().min(room).min(chunk.len());
            if len == 0 {
                if done == 0 {
                    bail!(EAGAIN, "the terminal's input buffer is full");
                }
                break;
            }
            match from.take_all(&mut chunk[..len]) {
                Ok(()) => {}
                Err(_) if done > 0 => break,
                Err(error) => return Err(error),
            }
            // Without a slave nobody reads it ever: it is gone, as on Linux.
            if state.opens > 0 || !state.pty.slave_closed {
                state.input.extend(&chunk[..len]);
                state.last_input = now;
                self.tty.pump(&mut state, &mut after);
            }
            drop(state);
            self.tty.finish(after);
            done += len;
        }
        Ok(done)
    }
    fn poll(&self, _: &OpenFile, _: &Arc<Task>) -> PollEvents {
        let state = self.tty.state.lock();
        let mut events = PollEvents::empty();
        if !state.output.is_empty() {
            events |= PollEvents::READABLE;
        }
        if state.pty.packet && state.pty.status != 0 {
            events |= PollEvents::READABLE | PollEvents::PRI;
        }
        if state.pty.slave_closed {
            events |= PollEvents::HUP;
        }
        if state.input.len() < FLIP_LIMIT {
            events |= PollEvents::WRITABLE;
        }
        events
    }
    fn wait_queue(&self) -> Option<&WaitQueue> {
        Some(&self.tty.master_queue)
    }
    fn ioctl(&self, file: &OpenFile, task: &Arc<Task>, cmd: u32, arg: UserAddr) -> Result<usize> {
        match ioctl::master_ioctl(self, file, task, cmd, arg)? {
            Some(value) => Ok(value),
            None => ioctl::tty_ioctl(&self.tty, file, task, true, cmd, arg),
        }
    }
    fn fdinfo(&self, _: &OpenFile, _: &Arc<Task>, out: &mut String) {
        use core::fmt::Write;
        let _ = writeln!(out, "tty-index:\t{}", self.index);
    }
    fn as_any(&self) -> &dyn Any {
        self
    }
}
