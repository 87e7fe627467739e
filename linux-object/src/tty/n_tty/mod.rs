//! The line discipline N_TTY (`termios(3)`, Linux's `n_tty.c`).
//!
//! Model: a pure state machine. [`NTty::receive`] takes what the device got, [`NTty::write`] what
//! programs write; what goes to the device is appended to an [`Output`], signals are returned. The
//! read buffer holds up to 4095 characters; in canonical mode those up to `canon_head` form
//! complete lines.
//!
//! Invariants: `canon_head <= buf.len()`; a character with the `EOL` mark ends a line, one with the
//! `EOF` mark ends it without being read itself.
//!
//! Locks: none; the terminal that owns it has one.

mod erase;
mod input;
mod output;
mod read;
#[cfg(test)]
mod tests;

pub use input::Events;

use alloc::collections::VecDeque;

use super::termios::{InputFlags, LocalFlags, Termios};

/// Size of the read buffer; one place stays free for a line end.
pub const N_TTY_BUF_SIZE: usize = 4096;

/// What the discipline sends to the device.
pub type Output = VecDeque<u8>;

/// A character ends a line.
const EOL: u16 = 1 << 8;
/// It is the end-of-file character of that line.
const EOF: u16 = 1 << 9;

/// What a received character asks of the terminal.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Event {
    /// Send SIGINT to the foreground group.
    Interrupt,
    /// Send SIGQUIT.
    Quit,
    /// Send SIGTSTP.
    Suspend,
    /// Something can be read.
    Readable,
    /// Output goes on.
    Started,
    /// Output stops.
    Stopped,
    /// Buffers were flushed by a signal character.
    Flushed,
}

/// The discipline's state.
#[derive(Default)]
pub struct NTty {
    buf: VecDeque<u16>,
    canon_head: usize,
    /// Column of the cursor, and the one at which the line being typed began.
    column: usize,
    canon_column: usize,
    /// The next character is taken literally.
    lnext: bool,
    /// Between `\` and `/` of `ECHOPRT`.
    erasing: bool,
    /// Output was stopped by the stop character or `TCOOFF`.
    pub stopped: bool,
    /// Stopped by `TCOOFF`: the start character does not start it.
    pub tco_stopped: bool,
    /// What was echoed while output was stopped.
    echo: Output,
    /// Length of the output when the characters at hand came: what follows are echoes that
    /// a signal character takes back.
    echo_mark: usize,
}

impl NTty {
    /// Characters that still fit, as [`NTty::receive`] counts them.
    pub fn room(&self, termios: &Termios) -> usize {
        let mut room = N_TTY_BUF_SIZE - self.buf.len();
        if termios.i(InputFlags::PARMRK) {
            room = room.div_ceil(3);
        }
        room.saturating_sub(1)
    }

    /// Whether a line is complete or, else, characters are there.
    pub fn readable(&self, termios: &Termios) -> bool {
        if termios.canonical() {
            self.canon_head > 0
        } else {
            !self.buf.is_empty()
        }
    }

    /// Characters that `FIONREAD` counts.
    pub fn count(&self, termios: &Termios) -> usize {
        if termios.canonical() {
            let lines = self.buf.iter().take(self.canon_head);
            lines.filter(|&&c| c & EOF == 0).count()
        } else {
            self.buf.len()
        }
    }

    /// Drops all input and echoes.
    pub fn flush_input(&mut self) {
        self.buf.clear();
        self.canon_head = 0;
        self.lnext = false;
        self.erasing = false;
    }

    /// Drops echoes that wait for output to go on.
    pub fn flush_echo(&mut self) {
        self.echo.clear();
    }

    /// The settings changed from `old` to `new`.
    pub fn set_termios(&mut self, old: &Termios, new: &Termios, out: &mut Output) {
        if (old.lflag ^ new.lflag).intersects(LocalFlags::ICANON | LocalFlags::EXTPROC) {
            for c in &mut self.buf {
                *c &= 0xff;
            }
            if !new.l(LocalFlags::ICANON) || self.buf.is_empty() {
                self.canon_head = 0;
            } else {
                if let Some(last) = self.buf.back_mut() {
                    *last |= EOL;
                }
                self.canon_head = self.buf.len();
            }
            self.erasing = false;
            self.lnext = false;
        }
        if !new.i(InputFlags::IXON) && old.i(InputFlags::IXON) && !self.tco_stopped {
            self.start(out);
        }
    }

    /// Lets output go on; what was echoed meanwhile is sent. Returns whether it was stopped.
    pub fn start(&mut self, out: &mut Output) -> bool {
        if !self.stopped || self.tco_stopped {
            return false;
        }
        self.stopped = false;
        out.append(&mut self.echo);
        true
    }
}

/// Whether `c` continues a UTF-8 character.
fn is_continuation(c: u8, termios: &Termios) -> bool {
    termios.i(InputFlags::IUTF8) && c & 0xc0 == 0x80
}

/// Whether `c` is a control character (Linux's `iscntrl`: ASCII only).
fn is_control(c: u8) -> bool {
    c < 0x20 || c == 0x7f
}
