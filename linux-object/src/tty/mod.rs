//! Terminals (`tty(4)`, `termios(3)`, `pty(7)`, `pts(4)`).
//!
//! Model: a [`Tty`] is what programs see as a terminal: the console, or the slave of a
//! pseudo-terminal. Its line discipline ([`n_tty`]) stands between the device and the programs. The
//! device of the console is the machine's; that of a pseudo-terminal is the program with the
//! master open. A terminal may be the controlling one of a session ([`job`]).
//!
//! Invariants: a terminal is the controlling one of at most one session, and that session says the
//! same of it. A hang-up starts a new generation; files opened before it see the end.
//!
//! Locks: one `class::Tty` lock per terminal around all of its state; user memory is copied and the
//! console written while it is held. Signals are sent and waiters woken after it is released.

mod console;
pub mod devpts;
mod file;
mod ioctl;
mod job;
pub mod n_tty;
mod numbers;
mod pty;
pub mod termios;

pub use console::{Ttys, init};
pub use file::TtyFile;
pub use job::{no_tty, vhangup_self};

use alloc::collections::VecDeque;
use alloc::sync::{Arc, Weak};
use core::any::Any;

use self::n_tty::{Event, Events, NTty, Output};
use self::pty::PtyState;
use self::termios::{InputFlags, Termios, WinSize};
use crate::fs::{DevT, PollEvents};
use crate::hal::Hal;
use crate::sync::{SpinLock, WaitQueue, class};
use crate::task::pid::Pid;
use crate::task::{ControllingTty, Session, Signal};
use crate::time::Ktime;

/// Bytes that wait for room in the line discipline, and bytes that a master has not read.
const FLIP_LIMIT: usize = 64 << 10;

/// What is behind a terminal.
enum Device {
    /// The machine's console.
    Console(Arc<dyn Hal>),
    /// A program with the master open.
    Pty,
}

struct TtyState {
    ldisc: NTty,
    termios: Termios,
    winsize: WinSize,
    /// From the device, not yet taken by the discipline.
    input: VecDeque<u8>,
    /// To the device: what a master has not read. Empty for the console.
    output: Output,
    session: Weak<Session>,
    pgrp: Option<Arc<Pid>>,
    /// How often it was hung up.
    hangups: u32,
    /// Open files of the terminal (not of the master).
    opens: u32,
    exclusive: bool,
    /// When input came last, for the timer between bytes.
    last_input: Ktime,
    pty: PtyState,
}

/// A terminal.
pub struct Tty {
    device: Device,
    dev: DevT,
    state: SpinLock<TtyState, class::Tty>,
    /// Programs on the terminal.
    queue: WaitQueue,
    /// Programs on the master.
    master_queue: WaitQueue,
    this: Weak<Tty>,
}

/// What is to be done once the lock is free.
#[derive(Default)]
struct After {
    signals: smallvec::SmallVec<[(Arc<Pid>, Signal); 2]>,
    wake: PollEvents,
    wake_master: PollEvents,
}

impl Tty {
    fn new(device: Device, dev: DevT, termios: Termios) -> Arc<Tty> {
        Arc::new_cyclic(|this| Tty {
            device,
            dev,
            state: SpinLock::new(TtyState {
                ldisc: NTty::default(),
                termios,
                winsize: WinSize::default(),
                input: VecDeque::new(),
                output: Output::new(),
                session: Weak::new(),
                pgrp: None,
                hangups: 0,
                opens: 0,
                exclusive: false,
                last_input: Ktime::ZERO,
                pty: PtyState::default(),
            }),
            queue: WaitQueue::new(),
            master_queue: WaitQueue::new(),
            this: this.clone(),
        })
    }

    fn is_pty(&self) -> bool {
        matches!(self.device, Device::Pty)
    }

    /// Bytes came in from the device. What does not fit is lost.
    pub fn receive(&self, bytes: &[u8], now: Ktime) {
        let mut after = After::default();
        {
            let mut state = self.state.lock();
            let room = FLIP_LIMIT.saturating_sub(state.input.len());
            state.input.extend(&bytes[..bytes.len().min(room)]);
            state.last_input = now;
            self.pump(&mut state, &mut after);
        }
        self.finish(after);
    }

    /// Gives the discipline what it takes of the input.
    fn pump(&self, state: &mut TtyState, after: &mut After) {
        let mut events = Events::new();
        while !state.input.is_empty() {
            let (front, _) = state.input.as_slices();
            let taken = state
                .ldisc
                .receive(&state.termios, front, &mut state.output, &mut events);
            if taken == 0 {
                break;
            }
            state.input.drain(..taken);
        }
        for event in events {
            self.note(state, event, after);
        }
        self.send_output(state, after);
    }

    fn note(&self, state: &mut TtyState, event: Event, after: &mut After) {
        let signal = match event {
            Event::Interrupt => Signal::INT,
            Event::Quit => Signal::QUIT,
            Event::Suspend => Signal::TSTP,
            Event::Readable => {
                after.wake |= PollEvents::READABLE;
                return;
            }
            Event::Started | Event::Stopped => {
                state.pty.note_flow(event == Event::Started, after);
                after.wake |= PollEvents::WRITABLE;
                return;
            }
            Event::Flushed => {
                state.pty.note_flush(true, true, after);
                after.wake |= PollEvents::WRITABLE;
                return;
            }
        };
        if let Some(pgrp) = &state.pgrp {
            after.signals.push((pgrp.clone(), signal));
        }
    }

    /// Brings output to the device: at once to the console, into the master's view otherwise.
    fn send_output(&self, state: &mut TtyState, after: &mut After) {
        if state.output.is_empty() {
            return;
        }
        match &self.device {
            Device::Console(hal) => {
                let (front, back) = state.output.as_slices();
                hal.console_write(front);
                if !back.is_empty() {
                    hal.console_write(back);
                }
                state.output.clear();
            }
            Device::Pty => after.wake_master |= PollEvents::READABLE,
        }
    }

    /// Bytes that programs may write now.
    fn write_room(&self, state: &TtyState) -> usize {
        if state.ldisc.stopped {
            0
        } else {
            FLIP_LIMIT.saturating_sub(state.output.len())
        }
    }

    /// Sends the signals and wakes the waiters that became due under the lock.
    fn finish(&self, after: After) {
        for (pgrp, signal) in after.signals {
            job::signal_pgrp(&pgrp, signal);
        }
        if !after.wake.is_empty() {
            self.queue.wake_all(after.wake);
        }
        if !after.wake_master.is_empty() {
            self.master_queue.wake_all(after.wake_master);
        }
    }

    /// Replaces the settings.
    fn set_termios(&self, new: Termios) {
        let mut after = After::default();
        {
            let mut state = self.state.lock();
            let old = core::mem::replace(&mut state.termios, new);
            let TtyState {
                ldisc,
                termios,
                output,
                ..
            } = &mut *state;
            ldisc.set_termios(&old, termios, output);
            if self.is_pty() {
                state.pty.note_termios(&old, &new, &mut after);
            }
            self.pump(&mut state, &mut after);
            self.send_output(&mut state, &mut after);
            after.wake |= PollEvents::READABLE | PollEvents::WRITABLE;
        }
        self.finish(after);
    }

    /// Sets the size; the foreground group hears of a change (SIGWINCH).
    fn set_winsize(&self, size: WinSize) {
        let pgrp = {
            let mut state = self.state.lock();
            if state.winsize == size {
                return;
            }
            state.winsize = size;
            state.pgrp.clone()
        };
        if let Some(pgrp) = pgrp {
            job::signal_pgrp(&pgrp, Signal::WINCH);
        }
    }

    /// Drops input (`TCIFLUSH`) and output (`TCOFLUSH`).
    fn flush(&self, input: bool, output: bool) {
        let mut after = After::default();
        {
            let mut state = self.state.lock();
            if input {
                state.input.clear();
                state.ldisc.flush_input();
                after.wake_master |= PollEvents::WRITABLE;
            }
            if output {
                state.output.clear();
                state.ldisc.flush_echo();
                after.wake |= PollEvents::WRITABLE;
            }
            state.pty.note_flush(input, output, &mut after);
        }
        self.finish(after);
    }

    /// Whether the start and stop characters are the usual ones and work (`TIOCPKT_DOSTOP`).
    fn does_flow(termios: &Termios) -> bool {
        use termios::cc::{VSTART, VSTOP};
        termios.i(InputFlags::IXON) && termios.cc[VSTOP] == 0o23 && termios.cc[VSTART] == 0o21
    }
}

impl ControllingTty for Tty {
    fn dev(&self) -> DevT {
        self.dev
    }
    fn foreground_pgrp(&self) -> Option<Arc<Pid>> {
        self.state.lock().pgrp.clone()
    }
    fn release_session(&self, on_exit: bool) {
        job::release_session(self, on_exit);
    }
    fn as_any(&self) -> &dyn Any {
        self
    }
}
