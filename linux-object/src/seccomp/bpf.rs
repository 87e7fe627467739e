//! Classic BPF with seccomp's restrictions: the checker and the interpreter (Linux's
//! `Documentation/networking/filter.rst`, "BPF engine and instruction set").
//!
//! [`Program::check`] turns what user space gives into instructions that need no further
//! checks: every jump goes forward and stays inside, every load stays inside of the data, every word of the
//! scratch memory is written before it is read, the last instruction returns. So a run ends after at most as many
//! steps as there are instructions.

use alloc::boxed::Box;
use alloc::vec::Vec;

use super::cbpf_const::*;
use super::{ARCH, Answer, Data};
use crate::error::Result;
use crate::{bail, ensure};

/// Most instructions of a program (`BPF_MAXINSNS`).
pub const MAX_INSNS: usize = 4096;
/// Words of scratch memory.
const MEM_WORDS: u32 = 16;

/// An instruction as user space gives it (`struct sock_filter`).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[allow(missing_docs)]
pub struct SockFilter {
    pub code: u16,
    pub jt: u8,
    pub jf: u8,
    pub k: u32,
}

/// An arithmetic operation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Alu {
    Add,
    Sub,
    Mul,
    Div,
    Or,
    And,
    Lsh,
    Rsh,
    Xor,
}

/// A comparison.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Cmp {
    Eq,
    Gt,
    Ge,
    Set,
}

/// A checked instruction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Insn {
    /// A := word of the data.
    Load(u8),
    LoadImm(u32),
    LoadxImm(u32),
    LoadMem(u8),
    LoadxMem(u8),
    Store(u8),
    Storex(u8),
    AluK(Alu, u32),
    AluX(Alu),
    Neg,
    Tax,
    Txa,
    Jump(u16),
    JumpK(Cmp, u32, u8, u8),
    JumpX(Cmp, u8, u8),
    RetK(u32),
    RetA,
}

/// A program that was checked.
pub struct Program {
    insns: Box<[Insn]>,
    /// Instructions of the extended BPF that Linux makes of it: what counts against the limit of a path.
    weight: usize,
}

fn alu(code: u16) -> Option<Alu> {
    Some(match code & 0xf0 {
        ADD => Alu::Add,
        SUB => Alu::Sub,
        MUL => Alu::Mul,
        DIV => Alu::Div,
        OR => Alu::Or,
        AND => Alu::And,
        LSH => Alu::Lsh,
        RSH => Alu::Rsh,
        XOR => Alu::Xor,
        _ => return None,
    })
}

fn cmp(code: u16) -> Option<Cmp> {
    Some(match code & 0xf0 {
        JEQ => Cmp::Eq,
        JGT => Cmp::Gt,
        JGE => Cmp::Ge,
        JSET => Cmp::Set,
        _ => return None,
    })
}

/// One instruction, `left` of which follow it; `None` if it is not allowed.
fn decode(raw: SockFilter, left: usize) -> Option<Insn> {
    let SockFilter { code, jt, jf, k } = raw;
    let word = || (k < MEM_WORDS).then_some(k as u8);
    const LD_ABS: u16 = LD | W | ABS;
    const LD_LEN: u16 = LD | W | LEN;
    const LDX_LEN: u16 = LDX | W | LEN;
    const LD_IMM: u16 = LD | IMM;
    const LDX_IMM: u16 = LDX | IMM;
    const LD_MEM: u16 = LD | MEM;
    const LDX_MEM: u16 = LDX | MEM;
    const RET_K: u16 = RET | K;
    const RET_A: u16 = RET | A;
    const MISC_TAX: u16 = MISC | TAX;
    const MISC_TXA: u16 = MISC | TXA;
    const ALU_NEG: u16 = ALU | NEG;
    const JUMP: u16 = JMP | JA;
    Some(match code {
        LD_ABS if k < Data::SIZE && k & 3 == 0 => Insn::Load((k / 4) as u8),
        LD_LEN => Insn::LoadImm(Data::SIZE),
        LDX_LEN => Insn::LoadxImm(Data::SIZE),
        LD_IMM => Insn::LoadImm(k),
        LDX_IMM => Insn::LoadxImm(k),
        LD_MEM => Insn::LoadMem(word()?),
        LDX_MEM => Insn::LoadxMem(word()?),
        ST => Insn::Store(word()?),
        STX => Insn::Storex(word()?),
        RET_K => Insn::RetK(k),
        RET_A => Insn::RetA,
        MISC_TAX => Insn::Tax,
        MISC_TXA => Insn::Txa,
        ALU_NEG => Insn::Neg,
        JUMP if (k as usize) < left => Insn::Jump(k as u16),
        _ if code & !0xf8 == ALU => match (alu(code)?, code & 0x08) {
            (Alu::Div, K) if k == 0 => return None,
            (Alu::Lsh | Alu::Rsh, K) if k >= 32 => return None,
            (op, K) => Insn::AluK(op, k),
            (op, _) => Insn::AluX(op),
        },
        _ if code & !0xf8 == JMP => {
            let op = cmp(code)?;
            if jt as usize >= left || jf as usize >= left {
                return None;
            }
            if code & 0x08 == K {
                Insn::JumpK(op, k, jt, jf)
            } else {
                Insn::JumpX(op, jt, jf)
            }
        }
        _ => return None,
    })
}

/// Every word of memory is written before it is read, on each path.
fn check_memory(insns: &[Insn]) -> Result<()> {
    let mut masks = Vec::new();
    if masks.try_reserve_exact(insns.len()).is_err() {
        bail!(ENOMEM, "seccomp: no memory to check a program");
    }
    masks.resize(insns.len(), u16::MAX);
    let mut valid = 0u16;
    for (at, insn) in insns.iter().enumerate() {
        valid &= masks[at];
        match *insn {
            Insn::Store(word) | Insn::Storex(word) => valid |= 1 << word,
            Insn::LoadMem(word) | Insn::LoadxMem(word) => ensure!(
                valid & 1 << word != 0,
                EINVAL,
                "seccomp: memory is read before it is written"
            ),
            Insn::Jump(by) => {
                masks[at + 1 + by as usize] &= valid;
                valid = u16::MAX;
            }
            Insn::JumpK(_, _, jt, jf) | Insn::JumpX(_, jt, jf) => {
                masks[at + 1 + jt as usize] &= valid;
                masks[at + 1 + jf as usize] &= valid;
                valid = u16::MAX;
            }
            _ => {}
        }
    }
    Ok(())
}

/// How many instructions Linux makes of one.
fn weight(insn: &Insn) -> usize {
    match *insn {
        Insn::AluX(Alu::Div) => 5,
        Insn::RetK(_) => 2,
        Insn::JumpK(op, k, jt, jf) => usize::from((k as i32) < 0) + jump_weight(op, jt, jf),
        Insn::JumpX(op, jt, jf) => jump_weight(op, jt, jf),
        _ => 1,
    }
}

fn jump_weight(op: Cmp, jt: u8, jf: u8) -> usize {
    let one = jf == 0 || jt == 0 && op != Cmp::Set;
    if one { 1 } else { 2 }
}

impl Program {
    /// Checks a program; `EINVAL` if it is not one of seccomp's.
    pub fn check(code: &[SockFilter]) -> Result<Program> {
        ensure!(
            !code.is_empty() && code.len() <= MAX_INSNS,
            EINVAL,
            "seccomp: a program has 1 to 4096 instructions"
        );
        let mut insns = Vec::new();
        if insns.try_reserve_exact(code.len()).is_err() {
            bail!(ENOMEM, "seccomp: no memory for a program");
        }
        for (at, raw) in code.iter().enumerate() {
            match decode(*raw, code.len() - at - 1) {
                Some(insn) => insns.push(insn),
                None => bail!(EINVAL, "seccomp: an instruction that is not allowed"),
            }
        }
        ensure!(
            matches!(insns.last(), Some(Insn::RetK(_) | Insn::RetA)),
            EINVAL,
            "seccomp: the last instruction must return"
        );
        check_memory(&insns)?;
        // Three more come before the first.
        let weight = 3 + insns.iter().map(weight).sum::<usize>();
        Ok(Program {
            insns: insns.into_boxed_slice(),
            weight,
        })
    }

    /// Instructions that count against the limit of a path.
    pub fn weight(&self) -> usize {
        self.weight
    }
    /// Bytes that it takes.
    pub fn bytes(&self) -> usize {
        size_of_val(&*self.insns)
    }

    /// What the program answers.
    pub fn run(&self, data: &[u32; 16]) -> Answer {
        let (mut a, mut x) = (0u32, 0u32);
        let mut memory = [0u32; MEM_WORDS as usize];
        let mut at = 0usize;
        while let Some(insn) = self.insns.get(at) {
            at += 1;
            match *insn {
                Insn::Load(word) => a = data[word as usize & 15],
                Insn::LoadImm(k) => a = k,
                Insn::LoadxImm(k) => x = k,
                Insn::LoadMem(word) => a = memory[word as usize & 15],
                Insn::LoadxMem(word) => x = memory[word as usize & 15],
                Insn::Store(word) => memory[word as usize & 15] = a,
                Insn::Storex(word) => memory[word as usize & 15] = x,
                Insn::AluX(Alu::Div) if x == 0 => return Answer(0),
                Insn::AluK(op, k) => a = compute(op, a, k),
                Insn::AluX(op) => a = compute(op, a, x),
                Insn::Neg => a = a.wrapping_neg(),
                Insn::Tax => x = a,
                Insn::Txa => a = x,
                Insn::Jump(by) => at += by as usize,
                Insn::JumpK(op, k, jt, jf) => at += if holds(op, a, k) { jt } else { jf } as usize,
                Insn::JumpX(op, jt, jf) => at += if holds(op, a, x) { jt } else { jf } as usize,
                Insn::RetK(k) => return Answer(k),
                Insn::RetA => return Answer(a),
            }
        }
        Answer(0)
    }

    /// Whether it allows this call whatever the arguments are: as far as the answer depends on the number and
    /// the architecture alone.
    pub fn allows_always(&self, nr: u32) -> bool {
        let mut a = 0u32;
        let mut at = 0usize;
        while let Some(insn) = self.insns.get(at) {
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

fn compute(op: Alu, a: u32, b: u32) -> u32 {
    match op {
        Alu::Add => a.wrapping_add(b),
        Alu::Sub => a.wrapping_sub(b),
        Alu::Mul => a.wrapping_mul(b),
        Alu::Div => a.checked_div(b).unwrap_or(0),
        Alu::Or => a | b,
        Alu::And => a & b,
        Alu::Lsh => a.wrapping_shl(b),
        Alu::Rsh => a.wrapping_shr(b),
        Alu::Xor => a ^ b,
    }
}

fn holds(op: Cmp, a: u32, b: u32) -> bool {
    match op {
        Cmp::Eq => a == b,
        Cmp::Gt => a > b,
        Cmp::Ge => a >= b,
        Cmp::Set => a & b != 0,
    }
}

#[cfg(test)]
#[path = "bpf_tests.rs"]
mod tests;
