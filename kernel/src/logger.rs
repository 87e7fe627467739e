//! Kernel messages: to the kernel's log, which user space can read, and to the console in the form of
//! Linux's, `[    0.012345] text`.
//!
//! What is logged before there is a kernel is kept and handed over when there is one.

use alloc::vec::Vec;
use core::fmt::{self, Write};

use linux_object::time::Ktime;

use crate::arch::tsc;
use crate::drivers::uart;
use crate::sync::Lock;
use crate::{cmdline, upcall};

struct Logger;

static LOGGER: Logger = Logger;

/// A message from before the kernel's log.
type Early = (Ktime, u8, Vec<u8>);

static EARLY: Lock<Vec<Early>> = Lock::new(Vec::new());

/// Linux's severity.
fn severity(level: log::Level) -> u8 {
    match level {
        log::Level::Error => 3,
        log::Level::Warn => 4,
        log::Level::Info => 6,
        log::Level::Debug | log::Level::Trace => 7,
    }
}

impl log::Log for Logger {
    fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
        metadata.level() <= log::max_level()
    }

    fn log(&self, record: &log::Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let (now, level) = (tsc::now(), severity(record.level()));
        let mut text = Text::new();
        let _ = text.write_fmt(*record.args());
        let show = match upcall::get() {
            Some(upcalls) => upcalls.log(now, level, text.bytes()),
            None => {
                EARLY.lock().push((now, level, text.bytes().into()));
                level < cmdline::options().console_level
            }
        };
        if show {
            let us = now.0 / 1000;
            let (seconds, us) = (us / 1_000_000, us % 1_000_000);
            let text = core::str::from_utf8(text.bytes()).unwrap_or("?");
            print(format_args!("[{seconds:5}.{us:06}] {text}\n"));
        }
    }

    fn flush(&self) {}
}

/// Hands the early messages over; to be called when the receiver has been installed.
pub fn hand_over() {
    let early = core::mem::take(&mut *EARLY.lock());
    if let Some(upcalls) = upcall::get() {
        for (at, level, text) in early {
            upcalls.log(at, level, &text);
        }
    }
}

/// A message; what does not fit is cut off.
struct Text {
    bytes: [u8; 512],
    len: usize,
}

impl Text {
    fn new() -> Text {
        Text {
            bytes: [0; 512],
            len: 0,
        }
    }

    fn bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

impl Write for Text {
    fn write_str(&mut self, s: &str) -> fmt::Result {
        for c in s.chars() {
            let mut utf8 = [0; 4];
            let utf8 = c.encode_utf8(&mut utf8).as_bytes();
            let Some(room) = self.bytes.get_mut(self.len..self.len + utf8.len()) else {
                return Err(fmt::Error);
            };
            room.copy_from_slice(utf8);
            self.len += utf8.len();
        }
        Ok(())
    }
}

/// Collects a line, so that lines of different CPUs do not mix.
struct Line {
    bytes: [u8; 256],
    len: usize,
}

impl Line {
    fn new() -> Line {
        Line {
            bytes: [0; 256],
            len: 0,
        }
    }

    fn flush(&mut self) {
        uart::write(&self.bytes[..self.len]);
        self.len = 0;
    }

    fn push(&mut self, byte: u8) {
        if self.len == self.bytes.len() {
            self.flush();
        }
        self.bytes[self.len] = byte;
        self.len += 1;
    }
}

impl Write for Line {
    fn write_str(&mut self, s: &str) -> fmt::Result {
        for byte in s.bytes() {
            if byte == b'\n' {
                self.push(b'\r');
            }
            self.push(byte);
        }
        Ok(())
    }
}

/// Makes the `log` macros work.
pub fn init() {
    log::set_max_level(cmdline::options().max_level);
    // It fails only if there is a logger already, which is this one.
    let _ = log::set_logger(&LOGGER);
}

/// Prints without the log's form.
pub fn print(args: fmt::Arguments<'_>) {
    let mut line = Line::new();
    let _ = line.write_fmt(args);
    line.flush();
}

/// `print!` on the console.
#[macro_export]
macro_rules! kprint {
    ($($arg:tt)*) => { $crate::logger::print(format_args!($($arg)*)) };
}

/// `println!` on the console.
#[macro_export]
macro_rules! kprintln {
    ($($arg:tt)*) => { $crate::logger::print(format_args!("{}\n", format_args!($($arg)*))) };
}
