//! Programs: from a file to an address space (`execve(2)`, `elf(5)`, `vdso(7)`).
//!
//! Model: `execve` is *prepare, then commit*. [`Program::open`] follows `#!` lines to the binary,
//! [`load`] builds a complete new address space from it: segments, interpreter, vDSO, stack with
//! arguments and auxiliary vector. Nothing of the caller has changed up to there, so every error is
//! the caller's to see. The system call then replaces the caller's address space, which cannot fail.
//!
//! Nothing is locked while a program is loaded; the new address space is nobody else's yet.

mod args;
mod auxv;
mod elf;
mod layout;
mod program;
mod script;
mod stack;
#[cfg(test)]
mod tests;
pub mod vdso;

pub use args::{ArgStrings, MAX_ARG_STRLEN};
pub use elf::{LoadRequest, Loaded, load};
pub use program::{Program, check_executable, read_at};
pub use script::BINPRM_BUF_SIZE;
pub use vdso::Vdso;
