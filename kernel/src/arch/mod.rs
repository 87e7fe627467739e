//! The machine. x86-64 is the only one.

mod x86_64;

pub use x86_64::*;
