//! Kernel messages on the console, in the form of Linux's: `[    0.012345] text`.

use core::fmt::{self, Write};

use crate::arch::tsc;
use crate::drivers::uart;

struct Logger;

static LOGGER: Logger = Logger;

impl log::Log for Logger {
    fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
        metadata.level() <= log::max_level()
    }

    fn log(&self, record: &log::Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let us = tsc::now().0 / 1000;
        let (seconds, us) = (us / 1_000_000, us % 1_000_000);
        let mut line = Line::new();
        let _ = match record.level() {
            log::Level::Info | log::Level::Debug | log::Level::Trace => {
                writeln!(line, "[{seconds:5}.{us:06}] {}", record.args())
            }
            level => writeln!(line, "[{seconds:5}.{us:06}] {level}: {}", record.args()),
        };
        line.flush();
    }

    fn flush(&self) {}
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
pub fn init(level: log::LevelFilter) {
    log::set_max_level(level);
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
