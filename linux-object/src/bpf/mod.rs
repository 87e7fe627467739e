//! Extended BPF: programs that user space loads into the kernel (`bpf(2)`, Linux's `Documentation/bpf/`).
//!
//! Model: a [`Prog`] is bytes that the [`verifier`] has gone through on every path, so that the interpreter
//! ([`run`](Prog::run)) needs no doubt: each access stays in the context or in initialised stack, each register was
//! written before it is read, the answer is one that this kind of program may give, and a run takes at most as many
//! steps as the verifier took. One kind does something, the device programs of cgroups (`BPF_PROG_TYPE_CGROUP_DEVICE`);
//! [`crate::cgroup::bpf`] attaches them. Programs for packets can be loaded, since loading one is how libraries find out
//! whether programs are attached to cgroups at all, but read nothing of a packet and are attached to nothing. There are
//! no maps and no calls among programs.
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

/// What a program is for (`enum bpf_prog_type`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ProgType {
    /// Packets of the sockets of a cgroup.
    CgroupSkb = 8,
    /// Devices that the tasks of a cgroup may use.
    CgroupDevice = 15,
}

impl ProgType {
    /// The type of this number that is to be attached so. `None` if there is none here.
    pub fn new(number: u32, expected_attach_type: u32) -> Option<ProgType> {
        match number {
            // Ingress and egress.
            8 if expected_attach_type <= 1 => Some(ProgType::CgroupSkb),
            15 => Some(ProgType::CgroupDevice),
            _ => None,
        }
    }
    /// Bytes of the context that programs read.
    pub fn context_size(self) -> usize {
        match self {
            ProgType::CgroupSkb => 0,
            ProgType::CgroupDevice => CONTEXT_SIZE,
        }
    }
}

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
