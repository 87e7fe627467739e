//! Editing the line being typed: ERASE, WERASE, KILL, REPRINT.

use super::{NTty, Output, is_continuation, is_control};
use crate::tty::termios::{LocalFlags, Termios, cc};

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Erase,
    WordErase,
    Kill,
}

impl NTty {
    fn char_at(&self, index: usize) -> u8 {
        self.buf.get(index).map_or(0, |&c| c as u8)
    }

    /// Closes the brackets of `ECHOPRT`.
    pub(super) fn finish_erasing(&mut self, termios: &Termios, out: &mut Output) {
        if self.erasing {
            self.erasing = false;
            self.echo_raw(termios, b'/', out);
        }
    }

    /// Handles an erase character (Linux's `eraser`).
    pub(super) fn eraser(&mut self, termios: &Termios, typed: u8, out: &mut Output) {
        if self.buf.len() == self.canon_head {
            return;
        }
        let echo = termios.l(LocalFlags::ECHO);
        let kind = if termios.is(typed, cc::VERASE) {
            Kind::Erase
        } else if termios.is(typed, cc::VWERASE) {
            Kind::WordErase
        } else {
            if !echo {
                self.buf.truncate(self.canon_head);
                return;
            }
            if !termios.l(LocalFlags::ECHOK | LocalFlags::ECHOKE | LocalFlags::ECHOE) {
                self.buf.truncate(self.canon_head);
                self.finish_erasing(termios, out);
                self.echo_char(termios, termios.cc[cc::VKILL], out);
                if termios.l(LocalFlags::ECHOK) {
                    self.echo_raw(termios, b'\n', out);
                }
                return;
            }
            Kind::Kill
        };
        let mut seen_alnums = false;
        while self.buf.len() > self.canon_head {
            // A character of several bytes goes as a whole or not at all.
            let mut head = self.buf.len();
            let c = loop {
                head -= 1;
                let c = self.char_at(head);
                if !is_continuation(c, termios) || head == self.canon_head {
                    break c;
                }
            };
            if is_continuation(c, termios) {
                break;
            }
            if kind == Kind::WordErase {
                if c.is_ascii_alphanumeric() || c == b'_' || c >= 0xc0 {
                    seen_alnums = true;
                } else if seen_alnums {
                    break;
                }
            }
            let bytes: smallvec::SmallVec<[u8; 4]> = self.buf.drain(head..).map(|c| c as u8).collect();
            if echo {
                self.echo_erased(termios, kind, c, &bytes, out);
            }
            if kind == Kind::Erase {
                break;
            }
        }
        if self.buf.len() == self.canon_head && echo {
            self.finish_erasing(termios, out);
        }
    }

    fn echo_erased(&mut self, termios: &Termios, kind: Kind, c: u8, bytes: &[u8], out: &mut Output) {
        let rubout = |this: &mut NTty, out: &mut Output| {
            for c in [8, b' ', 8] {
                this.echo_raw(termios, c, out);
            }
        };
        if termios.l(LocalFlags::ECHOPRT) {
            if !self.erasing {
                self.echo_raw(termios, b'\\', out);
                self.erasing = true;
            }
            self.echo_char(termios, c, out);
            for &c in bytes.iter().skip(1) {
                self.echo_raw(termios, c, out);
                self.echo_move_back_col();
            }
        } else if kind == Kind::Erase && !termios.l(LocalFlags::ECHOE) {
            self.echo_char(termios, termios.cc[cc::VERASE], out);
        } else if c == b'\t' {
            let (chars, after_tab) = self.columns_before_tab(termios);
            self.echo_erase_tab(chars, after_tab, out);
        } else {
            if is_control(c) && termios.l(LocalFlags::ECHOCTL) {
                rubout(self, out);
            }
            if !is_control(c) || termios.l(LocalFlags::ECHOCTL) {
                rubout(self, out);
            }
        }
    }

    /// Columns of the line since its start or, then true, since its last tab.
    fn columns_before_tab(&self, termios: &Termios) -> (usize, bool) {
        let mut chars = 0;
        for at in (self.canon_head..self.buf.len()).rev() {
            let c = self.char_at(at);
            if c == b'\t' {
                return (chars, true);
            }
            if is_control(c) {
                if termios.l(LocalFlags::ECHOCTL) {
                    chars += 2;
                }
            } else if !is_continuation(c, termios) {
                chars += 1;
            }
        }
        (chars, false)
    }

    /// Shows the line being typed again.
    pub(super) fn reprint(&mut self, termios: &Termios, typed: u8, out: &mut Output) {
        self.finish_erasing(termios, out);
        self.echo_char(termios, typed, out);
        self.echo_raw(termios, b'\n', out);
        for at in self.canon_head..self.buf.len() {
            let c = self.char_at(at);
            self.echo_char(termios, c, out);
        }
    }
}
