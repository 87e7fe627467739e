//! What the device receives.

use smallvec::SmallVec;

use super::{EOF, EOL, Event, NTty, Output};
use crate::tty::termios::{InputFlags, LocalFlags, Termios, cc};

/// What came of some characters.
pub type Events = SmallVec<[Event; 4]>;

impl NTty {
    /// Takes characters of the device; returns how many. Fewer when the buffer is full: the rest is for
    /// later. A line that does not fit loses its last characters, not its end.
    pub fn receive(
        &mut self,
        termios: &Termios,
        data: &[u8],
        out: &mut Output,
        events: &mut Events,
    ) -> usize {
        let before = self.readable(termios);
        self.echo_mark = out.len();
        let mut taken = 0;
        for &c in data {
            if self.room(termios) == 0 {
                let overflow = termios.l(LocalFlags::ICANON) && self.canon_head == 0;
                if !overflow {
                    break;
                }
                if self.buf.len() >= super::N_TTY_BUF_SIZE {
                    self.buf.pop_back();
                }
            }
            taken += 1;
            self.receive_char(termios, c, out, events);
        }
        if self.readable(termios) && (!before || taken > 0) {
            events.push(Event::Readable);
        }
        taken
    }

    fn put(&mut self, c: u16) {
        if self.buf.len() < super::N_TTY_BUF_SIZE && self.buf.try_reserve(1).is_ok() {
            self.buf.push_back(c);
        }
    }

    fn put_char(&mut self, termios: &Termios, c: u8) {
        if c == 0xff && termios.i(InputFlags::PARMRK) {
            self.put(c as u16);
        }
        self.put(c as u16);
    }

    fn receive_char(&mut self, termios: &Termios, mut c: u8, out: &mut Output, events: &mut Events) {
        let literal = core::mem::take(&mut self.lnext);
        if termios.i(InputFlags::ISTRIP) {
            c &= 0x7f;
        }
        if termios.i(InputFlags::IUCLC) && termios.l(LocalFlags::IEXTEN) {
            c = c.to_ascii_lowercase();
        }
        if termios.l(LocalFlags::EXTPROC) && !literal {
            self.put(c as u16);
        } else if literal || !self.receive_special(termios, c, out, events) {
            self.receive_plain(termios, c, out, events);
        }
    }

    /// Output goes on with any character under `IXANY`.
    fn restart_any(&mut self, termios: &Termios, out: &mut Output, events: &mut Events) {
        if termios.i(InputFlags::IXON | InputFlags::IXANY) && self.start(out) {
            events.push(Event::Started);
        }
    }

    fn receive_plain(&mut self, termios: &Termios, c: u8, out: &mut Output, events: &mut Events) {
        self.restart_any(termios, out, events);
        if termios.l(LocalFlags::ECHO) {
            self.finish_erasing(termios, out);
            self.set_canon_column();
            self.echo_char(termios, c, out);
        }
        self.put_char(termios, c);
    }

    /// Handles a character that has a meaning now; false if it has none.
    fn receive_special(&mut self, termios: &Termios, c: u8, out: &mut Output, events: &mut Events) -> bool {
        if termios.i(InputFlags::IXON) {
            if termios.is(c, cc::VSTART) {
                if self.start(out) {
                    events.push(Event::Started);
                }
                return true;
            }
            if termios.is(c, cc::VSTOP) {
                if !self.stopped {
                    self.stopped = true;
                    events.push(Event::Stopped);
                }
                return true;
            }
        }
        if termios.l(LocalFlags::ISIG) {
            for (index, event) in [
                (cc::VINTR, Event::Interrupt),
                (cc::VQUIT, Event::Quit),
                (cc::VSUSP, Event::Suspend),
            ] {
                if termios.is(c, index) {
                    self.receive_signal(termios, c, event, out, events);
                    return true;
                }
            }
        }
        let typed = c;
        let c = match c {
            b'\r' if termios.i(InputFlags::IGNCR) => return true,
            b'\r' if termios.i(InputFlags::ICRNL) => b'\n',
            b'\n' if termios.i(InputFlags::INLCR) => b'\r',
            c => c,
        };
        if termios.l(LocalFlags::ICANON) && self.receive_canon(termios, c, out, events) {
            return true;
        }
        if c == typed {
            return false;
        }
        self.restart_any(termios, out, events);
        if termios.l(LocalFlags::ECHO) {
            self.finish_erasing(termios, out);
            if c == b'\n' {
                self.echo_raw(termios, c, out);
            } else {
                self.set_canon_column();
                self.echo_char(termios, c, out);
            }
        }
        self.put_char(termios, c);
        true
    }

    fn receive_signal(
        &mut self,
        termios: &Termios,
        c: u8,
        event: Event,
        out: &mut Output,
        events: &mut Events,
    ) {
        events.push(event);
        if !termios.l(LocalFlags::NOFLSH) {
            self.flush_echo();
            // What the other side of a pseudo-terminal has in its own buffer is not taken back.
            self.echo_mark = self.echo_mark.min(super::N_TTY_BUF_SIZE - 1);
            out.truncate(self.echo_mark);
            self.flush_input();
            events.push(Event::Flushed);
        }
        if termios.i(InputFlags::IXON) && self.start(out) {
            events.push(Event::Started);
        }
        if termios.l(LocalFlags::ECHO) {
            self.echo_char(termios, c, out);
        }
    }

    /// Canonical mode: editing and line ends.
    fn receive_canon(&mut self, termios: &Termios, c: u8, out: &mut Output, events: &mut Events) -> bool {
        let iexten = termios.l(LocalFlags::IEXTEN);
        let echo = termios.l(LocalFlags::ECHO);
        let is = |index| termios.is(c, index);
        if is(cc::VERASE) || is(cc::VKILL) || is(cc::VWERASE) && iexten {
            self.restart_any(termios, out, events);
            self.eraser(termios, c, out);
        } else if is(cc::VLNEXT) && iexten {
            self.restart_any(termios, out, events);
            self.lnext = true;
            if echo {
                self.finish_erasing(termios, out);
                if termios.l(LocalFlags::ECHOCTL) {
                    self.echo_raw(termios, b'^', out);
                    self.echo_raw(termios, 8, out);
                }
            }
        } else if is(cc::VREPRINT) && echo && iexten {
            self.restart_any(termios, out, events);
            self.reprint(termios, c, out);
        } else if c == b'\n' {
            self.restart_any(termios, out, events);
            if echo || termios.l(LocalFlags::ECHONL) {
                self.echo_raw(termios, c, out);
            }
            self.end_line(c as u16 | EOL);
        } else if is(cc::VEOF) {
            self.restart_any(termios, out, events);
            self.end_line(EOL | EOF);
        } else if is(cc::VEOL) || is(cc::VEOL2) && iexten {
            self.restart_any(termios, out, events);
            if echo {
                self.set_canon_column();
                self.echo_char(termios, c, out);
            }
            if c == 0xff && termios.i(InputFlags::PARMRK) {
                self.put(c as u16);
            }
            self.end_line(c as u16 | EOL);
        } else {
            return false;
        }
        true
    }

    fn end_line(&mut self, c: u16) {
        if self.buf.len() >= super::N_TTY_BUF_SIZE {
            self.buf.pop_back();
        }
        self.put(c);
        self.canon_head = self.buf.len();
    }
}
