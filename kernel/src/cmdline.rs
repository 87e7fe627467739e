//! The kernel's own words on the command line (Linux's `admin-guide/kernel-parameters.rst`).

use crate::sync::BootCell;

/// What to do after a panic.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OnPanic {
    /// Stop (`panic=0`).
    Halt,
    /// Reset at once, or end the emulator where it offers that (`panic=-1`).
    Reset,
    /// Reset after so many seconds (`panic=N`).
    ResetAfter(u32),
}

/// What was asked for.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// `panic=`
    pub on_panic: OnPanic,
    /// `maxcpus=`
    pub max_cpus: usize,
    /// `quiet`, `loglevel=`: messages less severe than this are not shown on the console.
    pub log_level: log::LevelFilter,
    /// `zcell.selftest`: test the machine layer, print TAP, leave.
    pub selftest: bool,
}

static OPTIONS: BootCell<Options> = BootCell::new(Options {
    on_panic: OnPanic::Halt,
    max_cpus: usize::MAX,
    log_level: log::LevelFilter::Info,
    selftest: false,
});

/// The options in force.
pub fn options() -> &'static Options {
    OPTIONS.get()
}

/// Linux's console log level: messages with a *smaller* number are shown; 7 is "debug".
fn level_filter(level: u32) -> log::LevelFilter {
    match level {
        0..=3 => log::LevelFilter::Off,
        4 => log::LevelFilter::Error,
        5 | 6 => log::LevelFilter::Warn,
        7 => log::LevelFilter::Info,
        8 => log::LevelFilter::Debug,
        _ => log::LevelFilter::Trace,
    }
}

/// Parses the command line.
///
/// # Safety
/// Once, before anything asks.
pub unsafe fn init(cmdline: &str) {
    let mut options = *OPTIONS.get();
    for word in cmdline.split_ascii_whitespace() {
        // What follows belongs to init.
        if word == "--" {
            break;
        }
        let (key, value) = word.split_once('=').unwrap_or((word, ""));
        match key {
            "panic" => {
                options.on_panic = match value.parse::<i32>() {
                    Ok(0) | Err(_) => OnPanic::Halt,
                    Ok(..0) => OnPanic::Reset,
                    Ok(seconds) => OnPanic::ResetAfter(seconds as u32),
                }
            }
            "maxcpus" => options.max_cpus = value.parse().unwrap_or(usize::MAX).max(1),
            "nosmp" => options.max_cpus = 1,
            "quiet" => options.log_level = level_filter(4),
            "debug" => options.log_level = log::LevelFilter::Debug,
            "loglevel" => {
                if let Ok(level) = value.parse() {
                    options.log_level = level_filter(level);
                }
            }
            "zcell.selftest" => options.selftest = true,
            _ => {}
        }
    }
    // SAFETY: by the contract of this function.
    unsafe { OPTIONS.set(options) };
}
