//! Extended BPF: programs that user space loads into the kernel (`bpf(2)`, Linux's `Documentation/bpf/`).
//!
//! Model: a [`Prog`] is bytes that the [`verifier`] has gone through on every path, so that the interpreter
//! ([`run`](Prog::run)) needs no doubt: each access stays in the context or in initialised stack, each register was
//! written before it is read, the answer is one that this kind of program may give, and a run takes at most as many
//! steps as the verifier took. One kind is there, the device programs of cgroups (`BPF_PROG_TYPE_CGROUP_DEVICE`);
//! [`crate::cgroup::bpf`] attaches them. There are no maps and no calls among programs.
//!
//! A program lives as long as somebody has it: a descriptor, a cgroup. Its memory is charged to
//! the cgroup of whoever loaded it, and its id ends with it.
//!
//! The verifier is stricter than Linux's in four points, and nowhere laxer: the offset of a pointer into the stack is
//! always a constant; stack that was not written is never read; addresses stay inside of the program, whoever loads
//! it; there are no calls among the program's own functions.
//!
//! Locks: the table of ids is `class::Leaf`.

mod helper;
mod insn;
mod interpreter;
mod prog;
mod scalar;
#[cfg(test)]
mod tests;
pub mod verifier;

pub use helper::{Env, Helper};
pub use insn::{INSN_SIZE, decode};
pub use prog::{Load, NAME_LEN, Prog, ProgFd, Progs, is_gpl_compatible};

/// `BPF_PROG_TYPE_CGROUP_DEVICE`.
pub const PROG_TYPE_CGROUP_DEVICE: u32 = 15;
/// `BPF_CGROUP_DEVICE`.
pub const ATTACH_CGROUP_DEVICE: u32 = 6;
/// Most instructions of a program of those who may use BPF (`BPF_COMPLEXITY_LIMIT_INSNS`), and most steps of its
/// verification.
pub const MAX_INSNS: u32 = 1_000_000;
/// Most instructions of other programs (`BPF_MAXINSNS`).
pub const MAX_INSNS_UNPRIVILEGED: u32 = 4096;
/// Bytes of stack of a run.
pub const STACK_SIZE: usize = 512;
/// Bytes of the context of a device program (`struct bpf_cgroup_dev_ctx`).
pub const CONTEXT_SIZE: usize = 12;
