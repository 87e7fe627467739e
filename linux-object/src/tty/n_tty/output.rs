//! Output processing and echo.

use super::{NTty, Output, is_continuation, is_control};
use crate::tty::termios::{LocalFlags, OutputFlags, Termios};

impl NTty {
    /// Processes what a program writes.
    pub fn write(&mut self, termios: &Termios, data: &[u8], out: &mut Output) {
        if !termios.o(OutputFlags::OPOST) {
            out.extend(data);
            return;
        }
        for &c in data {
            self.output_char(termios, c, out);
        }
    }

    /// One character with `OPOST`.
    fn output_char(&mut self, termios: &Termios, mut c: u8, out: &mut Output) {
        match c {
            b'\n' => {
                if termios.o(OutputFlags::ONLRET) {
                    self.column = 0;
                }
                if termios.o(OutputFlags::ONLCR) {
                    self.column = 0;
                    out.push_back(b'\r');
                }
                self.canon_column = self.column;
            }
            b'\r' => {
                if termios.o(OutputFlags::ONOCR) && self.column == 0 {
                    return;
                }
                if termios.o(OutputFlags::OCRNL) {
                    c = b'\n';
                    if termios.o(OutputFlags::ONLRET) {
                        self.column = 0;
                        self.canon_column = 0;
                    }
                } else {
                    self.column = 0;
                    self.canon_column = 0;
                }
            }
            b'\t' => {
                let spaces = 8 - self.column % 8;
                self.column += spaces;
                if termios.o(OutputFlags::XTABS) {
                    out.extend(core::iter::repeat_n(b' ', spaces));
                    return;
                }
            }
            8 => self.column = self.column.saturating_sub(1),
            _ if !is_control(c) => {
                if termios.o(OutputFlags::OLCUC) {
                    c = c.to_ascii_uppercase();
                }
                if !is_continuation(c, termios) {
                    self.column += 1;
                }
            }
            _ => {}
        }
        out.push_back(c);
    }

    /// Runs `echo` with the buffer that echoes go to now: the device or, while output is stopped,
    /// the side buffer of at most one page.
    fn with_echo(&mut self, out: &mut Output, echo: impl FnOnce(&mut NTty, &mut Output)) {
        if !self.stopped {
            return echo(self, out);
        }
        let mut side = core::mem::take(&mut self.echo);
        echo(self, &mut side);
        side.truncate(super::N_TTY_BUF_SIZE);
        self.echo = side;
    }

    /// Echoes a character as it is (after output processing).
    pub(super) fn echo_raw(&mut self, termios: &Termios, c: u8, out: &mut Output) {
        self.with_echo(out, |this, out| {
            if termios.o(OutputFlags::OPOST) {
                this.output_char(termios, c, out);
            } else {
                out.push_back(c);
            }
        });
    }

    /// Echoes a character, controls as `^X`.
    pub(super) fn echo_char(&mut self, termios: &Termios, c: u8, out: &mut Output) {
        if termios.l(LocalFlags::ECHOCTL) && is_control(c) && c != b'\t' {
            self.with_echo(out, |this, out| {
                out.extend([b'^', c ^ 0o100]);
                this.column += 2;
            });
        } else {
            self.echo_raw(termios, c, out);
        }
    }

    /// Erases a tab: back to where the text before it, `chars` columns of it, ended.
    pub(super) fn echo_erase_tab(&mut self, chars: usize, after_tab: bool, out: &mut Output) {
        let chars = if after_tab {
            chars
        } else {
            chars + self.canon_column
        };
        self.with_echo(out, |this, out| {
            for _ in 0..8 - chars % 8 {
                out.push_back(8);
                this.column = this.column.saturating_sub(1);
            }
        });
    }

    /// A continuation of a character was echoed: it took no column.
    pub(super) fn echo_move_back_col(&mut self) {
        self.column = self.column.saturating_sub(1);
    }

    /// The line being typed begins at this column.
    pub(super) fn set_canon_column(&mut self) {
        if self.buf.len() == self.canon_head {
            self.canon_column = self.column;
        }
    }
}
