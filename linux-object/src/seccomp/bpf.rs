//! Classic BPF with seccomp's restrictions: it looks at words of a system call's data.

use alloc::vec::Vec;

use super::{ARCH, Answer, Data};
use crate::bail;
use crate::cbpf::{self, Alu, Dialect, Input, Insn, holds};
use crate::error::Result;

pub use crate::cbpf::SockFilter;

/// A program that was checked, and what it was made from, for who asks (`PTRACE_SECCOMP_GET_FILTER`).
pub struct Program(cbpf::Program, Vec<SockFilter>);

impl Input for [u32; 16] {
    fn word(&self, at: u8) -> u32 {
        self[at as usize & 15]
    }
}

impl Program {
    /// Checks a program; `EINVAL` if it is not one of seccomp's.
    pub fn check(code: &[SockFilter]) -> Result<Program> {
        let program = cbpf::Program::check(code, Dialect::Words(Data::SIZE))?;
        let mut original = Vec::new();
        if original.try_reserve_exact(code.len()).is_err() {
            bail!(ENOMEM, "seccomp: no memory for a program");
        }
        original.extend_from_slice(code);
        Ok(Program(program, original))
    }
    /// The instructions as user space gave them.
    pub fn code(&self) -> &[SockFilter] {
        &self.1
    }
    /// Instructions that count against the limit of a path.
    pub fn weight(&self) -> usize {
        self.0.weight()
    }
    /// Bytes that it takes.
    pub fn bytes(&self) -> usize {
        self.0.bytes() + size_of_val(&*self.1)
    }
    /// What the program answers.
    pub fn run(&self, data: &[u32; 16]) -> Answer {
        Answer(self.0.run(data))
    }

    /// Whether it allows this call whatever the arguments are: as far as the answer depends on the number and
    /// the architecture alone.
    pub fn allows_always(&self, nr: u32) -> bool {
        let insns = self.0.insns();
        let mut a = 0u32;
        let mut at = 0usize;
        while let Some(insn) = insns.get(at) {
            at += 1;
            match *insn {
                Insn::Load(0) => a = nr,
                Insn::Load(1) => a = ARCH,
                Insn::LoadImm(k) => a = k,
                Insn::AluK(Alu::And, k) => a &= k,
                Insn::Jump(by) => at += by as usize,
                Insn::JumpK(op, k, jt, jf) => at += if holds(op, a, k) { jt } else { jf } as usize,
                Insn::RetK(k) => return Answer(k) == Answer::ALLOW,
                _ => return false,
            }
        }
        false
    }
}

#[cfg(test)]
#[path = "bpf_tests.rs"]
mod tests;
