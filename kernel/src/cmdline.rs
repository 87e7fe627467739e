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
    /// `quiet`, `debug`, `loglevel=`: messages whose severity is smaller are shown on the console.
    pub console_level: u8,
    /// What is logged at all.
    pub max_level: log::LevelFilter,
    /// `zcell.selftest`: test the machine layer, print TAP, leave.
    pub selftest: bool,
}

static OPTIONS: BootCell<Options> = BootCell::new(Options {
    on_panic: OnPanic::Halt,
    max_cpus: usize::MAX,
    console_level: 7,
    max_level: log::LevelFilter::Info,
    selftest: false,
});

/// The options in force.
pub fn options() -> &'static Options {
    OPTIONS.get()
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
            "quiet" => options.console_level = 4,
            "debug" => options.console_level = 10,
            "loglevel" => options.console_level = value.parse().unwrap_or(7),
            "zcell.selftest" => options.selftest = true,
            _ => {}
        }
    }
    if options.console_level > 7 {
        options.max_level = log::LevelFilter::Debug;
    }
    // SAFETY: by the contract of this function.
    unsafe { OPTIONS.set(options) };
}
