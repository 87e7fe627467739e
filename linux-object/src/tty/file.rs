//! A terminal as an open file.

use alloc::sync::Arc;
use core::any::Any;
use core::time::Duration;

use super::termios::{LocalFlags, cc};
use super::{After, Tty, TtyState, ioctl};
use crate::cred::Capability;
use crate::error::Result;
use crate::fs::io::{IoDst, IoSrc};
use crate::fs::{FileOps, OpenFile, OpenFlags, PollEvents};
use crate::ids::UserAddr;
use crate::sync::WaitQueue;
use crate::task::{Signal, Task};
use crate::time::{Ktime, TimerCallback};
use crate::{bail, ensure};

/// Bytes of output that are processed at a time.
const CHUNK: usize = 512;

/// An open file of a terminal.
pub struct TtyFile {
    tty: Arc<Tty>,
    /// Opened as `/dev/console`: no job control for reads, and hang-ups pass it by.
    console: bool,
    hangups: u32,
}

/// Between two bytes of a read with `VMIN` and `VTIME`.
struct InterByte(Arc<Tty>);

impl TimerCallback for InterByte {
    fn fire(self: Arc<Self>, _: Ktime) {
        self.0.queue.wake_all(PollEvents::READABLE);
    }
}

impl TtyFile {
    /// Opens a terminal. `EIO`: a locked or masterless pseudo-terminal; `EBUSY`: `TIOCEXCL`.
    pub fn open(tty: &Arc<Tty>, task: &Arc<Task>, flags: OpenFlags, console: bool) -> Result<Arc<TtyFile>> {
        let hangups = {
            let mut state = tty.state.lock();
            if tty.is_pty() {
                ensure!(state.pty.master_open, EIO, "the master is closed");
                ensure!(!state.pty.locked, EIO, "the slave is locked");
                state.pty.slave_closed = false;
            }
            ensure!(
                !state.exclusive || task.cred().capable(Capability::SYS_ADMIN),
                EBUSY,
                "the terminal is opened exclusively"
            );
            state.opens += 1;
            state.hangups
        };
        if !console && !flags.contains(OpenFlags::NOCTTY) {
            tty.acquire_on_open(task, flags.readable());
        }
        Ok(Arc::new(TtyFile {
            tty: tty.clone(),
            console,
            hangups,
        }))
    }
    /// The terminal.
    pub fn tty(&self) -> &Arc<Tty> {
        &self.tty
    }
    fn hung_up(&self, state: &TtyState) -> bool {
        !self.console && state.hangups != self.hangups
    }
    fn is_hung_up(&self) -> bool {
        self.hung_up(&self.tty.state.lock())
    }

    /// Whether a read in non-canonical mode may return what is there (`VMIN`, `VTIME`).
    fn enough(&self, task: &Arc<Task>, state: &TtyState, want: usize, nonblock: bool) -> bool {
        let termios = &state.termios;
        let have = state.ldisc.count(termios);
        if have == 0 || nonblock || termios.canonical() {
            return have > 0 || state.ldisc.readable(termios);
        }
        let min = termios.cc[cc::VMIN] as usize;
        if have >= min.min(want).max(1) {
            return true;
        }
        let time = termios.cc[cc::VTIME];
        if time == 0 {
            return false;
        }
        // The time runs from byte to byte.
        let deadline = state.last_input + Duration::from_millis(100 * time as u64);
        let kernel = task.kernel();
        if kernel.time.now() >= deadline {
            return true;
        }
        let timer = Arc::new(InterByte(self.tty.clone()));
        kernel.timers.add(deadline, timer);
        false
    }
}

impl Drop for TtyFile {
    fn drop(&mut self) {
        let last = {
            let mut state = self.tty.state.lock();
            state.opens -= 1;
            if state.opens == 0 {
                state.exclusive = false;
                state.pty.slave_closed = true;
            }
            state.opens == 0
        };
        if last && self.tty.is_pty() {
            self.tty.master_queue.wake_all(PollEvents::all());
        }
    }
}

impl FileOps for TtyFile {
    fn moves_atime(&self) -> bool {
        true
    }
    fn read(&self, file: &OpenFile, task: &Arc<Task>, _: &mut u64, to: &mut dyn IoDst) -> Result<usize> {
        if self.is_hung_up() || to.remaining() == 0 {
            return Ok(0);
        }
        if !self.console {
            self.tty.check_change(task, Signal::TTIN)?;
        }
        let mut after = After::default();
        let done = {
            let mut state = self.tty.state.lock();
            let nonblock = file.nonblocking();
            let want = to.remaining();
            if !self.enough(task, &state, want, nonblock) {
                let unmastered = self.tty.is_pty() && !state.pty.master_open;
                ensure!(!unmastered, EIO, "the master is closed");
                let termios = &state.termios;
                let at_once = termios.cc[cc::VMIN] == 0 && termios.cc[cc::VTIME] == 0;
                if !termios.canonical() && at_once {
                    return Ok(0);
                }
                bail!(EAGAIN, "nothing was typed");
            }
            let TtyState { ldisc, termios, .. } = &mut *state;
            let done = ldisc.read(termios, to)?;
            // Input that waited for room moves up.
            self.tty.pump(&mut state, &mut after);
            done
        };
        if self.tty.is_pty() {
            after.wake_master |= PollEvents::WRITABLE;
        }
        self.tty.finish(after);
        Ok(done)
    }

    fn write(&self, _: &OpenFile, task: &Arc<Task>, _: &mut u64, from: &mut dyn IoSrc) -> Result<usize> {
        ensure!(!self.is_hung_up(), EIO, "the terminal was hung up");
        if self.tty.state.lock().termios.l(LocalFlags::TOSTOP) && !self.console {
            self.tty.check_change(task, Signal::TTOU)?;
        }
        let mut after = After::default();
        let mut chunk = [0; CHUNK];
        let mut done = 0;
        let result = loop {
            if from.remaining() == 0 {
                break Ok(());
            }
            let mut state = self.tty.state.lock();
            if self.tty.is_pty() && !state.pty.master_open {
                break Err(crate::err!(EIO, "the master is closed"));
            }
            let len = from.remaining().min(CHUNK).min(self.tty.write_room(&state));
            if len == 0 {
                break Err(crate::err!(
                    EAGAIN,
                    "output is stopped or the master does not read"
                ));
            }
            if let Err(error) = from.take_all(&mut chunk[..len]) {
                break Err(error);
            }
            let TtyState {
                ldisc,
                termios,
                output,
                ..
            } = &mut *state;
            ldisc.write(termios, &chunk[..len], output);
            self.tty.send_output(&mut state, &mut after);
            done += len;
        };
        self.tty.finish(after);
        if done > 0 {
            return Ok(done);
        }
        result.map(|()| 0)
    }

    fn poll(&self, _: &OpenFile, task: &Arc<Task>) -> PollEvents {
        let state = self.tty.state.lock();
        if self.hung_up(&state) {
            return PollEvents::READABLE | PollEvents::WRITABLE | PollEvents::ALWAYS;
        }
        let termios = &state.termios;
        let mut events = PollEvents::empty();
        let min = termios.cc[cc::VMIN] as usize;
        let amount = if termios.cc[cc::VTIME] == 0 { min.max(1) } else { 1 };
        let readable = if termios.canonical() {
            state.ldisc.readable(termios)
        } else {
            state.ldisc.count(termios) >= amount
        };
        let _ = task;
        if readable {
            events |= PollEvents::READABLE;
        }
        if self.tty.is_pty() && !state.pty.master_open {
            events |= PollEvents::HUP;
        }
        if self.tty.write_room(&state) > 0 {
            events |= PollEvents::WRITABLE;
        }
        events
    }
    fn wait_queue(&self) -> Option<&WaitQueue> {
        Some(&self.tty.queue)
    }
    fn io_deadline(&self, _: &OpenFile, write: bool, since: Ktime) -> Ktime {
        let state = self.tty.state.lock();
        let time = state.termios.cc[cc::VTIME];
        if write || state.termios.canonical() || state.termios.cc[cc::VMIN] > 0 || time == 0 {
            return Ktime::MAX;
        }
        since + Duration::from_millis(100 * time as u64)
    }
    fn io_timed_out(&self, _: &OpenFile, _: bool) -> Result<usize> {
        Ok(0)
    }
    fn ioctl(&self, file: &OpenFile, task: &Arc<Task>, cmd: u32, arg: UserAddr) -> Result<usize> {
        if self.is_hung_up() {
            ensure!(
                cmd != super::numbers::TIOCSPGRP,
                ENOTTY,
                "the terminal was hung up"
            );
            bail!(EIO, "the terminal was hung up");
        }
        ioctl::tty_ioctl(&self.tty, file, task, false, cmd, arg)
    }
    fn as_any(&self) -> &dyn Any {
        self
    }
}
