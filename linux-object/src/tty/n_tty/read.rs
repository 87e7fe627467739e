//! What programs read.

use super::{EOF, EOL, NTty};
use crate::error::Result;
use crate::fs::io::IoDst;
use crate::tty::termios::Termios;

impl NTty {
    /// Moves characters to a reader: one line at most in canonical mode. 0 is an end of file. The
    /// caller has checked that something is there.
    pub fn read(&mut self, termios: &Termios, to: &mut dyn IoDst) -> Result<usize> {
        let limit = if termios.canonical() {
            self.canon_head
        } else {
            self.buf.len()
        };
        let want = limit.min(to.remaining());
        // Find the end of the line within what the reader takes.
        let mut take = want;
        let mut eof = false;
        if termios.canonical() {
            for (at, &c) in self.buf.iter().take(limit).enumerate() {
                if at == want {
                    // An end of file right behind a full buffer is consumed with it.
                    eof = c & EOF != 0;
                    break;
                }
                if c & EOL != 0 {
                    eof = c & EOF != 0;
                    take = if eof { at } else { at + 1 };
                    break;
                }
            }
        }
        let mut done = 0;
        let mut chunk = [0; 256];
        while done < take {
            let part = (take - done).min(chunk.len());
            for (byte, &c) in chunk.iter_mut().zip(self.buf.iter().skip(done)).take(part) {
                *byte = c as u8;
            }
            match to.put(&chunk[..part]) {
                Ok(moved) => done += moved,
                Err(_) if done > 0 => break,
                Err(error) => return Err(error),
            }
        }
        let used = done + (eof && done == take) as usize;
        self.buf.drain(..used);
        self.canon_head = self.canon_head.saturating_sub(used);
        Ok(done)
    }
}
