//! Classic BPF: the checker and the interpreter (Linux's `Documentation/networking/filter.rst`, "BPF engine and
//! instruction set").
//!
//! [`Program::check`] turns what user space gives into instructions that need no further
//! checks: every jump goes forward and stays inside, every word of the scratch memory is written before it is read,
//! the last instruction returns. So a run ends after at most as many steps as there are instructions. The two
//! [`Dialect`]s differ in what can be loaded: a system call's data has a fixed size and is checked for it once, a
//! packet is looked at with each load ([`Input`]), and one that is too short is answered with 0.

use alloc::boxed::Box;
use alloc::vec::Vec;

pub(crate) mod consts;
mod packet;

pub use packet::PacketInput;

use self::consts::*;
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

impl SockFilter {
    /// From the 8 bytes of user space.
    pub fn from_bytes(raw: &[u8]) -> SockFilter {
        let byte = |at: usize| raw.get(at).copied().unwrap_or(0);
        SockFilter {
            code: u16::from_le_bytes([byte(0), byte(1)]),
            jt: byte(2),
            jf: byte(3),
            k: u32::from_le_bytes([byte(4), byte(5), byte(6), byte(7)]),
        }
    }
}

impl SockFilter {
    /// To the 8 bytes of user space.
    pub fn to_bytes(self) -> [u8; 8] {
        let mut raw = [0; 8];
        raw[..2].copy_from_slice(&self.code.to_le_bytes());
        (raw[2], raw[3]) = (self.jt, self.jf);
        raw[4..].copy_from_slice(&self.k.to_le_bytes());
        raw
    }
}

/// Whom a program is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Dialect {
    /// seccomp: aligned words of data of this size in bytes.
    Words(u32),
    /// A socket: bytes of packets, and what is known about them.
    Packet,
}

/// What a program looks at.
pub trait Input {
    /// A word of fixed data.
    fn word(&self, _at: u8) -> u32 {
        0
    }
    /// 1, 2 or 4 bytes of a packet, or something known about it if `at` is negative.
    fn load(&self, _at: i32, _size: u8) -> Option<u32> {
        None
    }
    /// The length of a packet.
    fn packet_len(&self) -> u32 {
        0
    }
}

/// An arithmetic operation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Alu {
    Add,
    Sub,
    Mul,
    Div,
    Mod,
    Or,
    And,
    Lsh,
    Rsh,
    Xor,
}

/// A comparison.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Cmp {
    Eq,
    Gt,
    Ge,
    Set,
}

/// A checked instruction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Insn {
    /// A := word of the data.
    Load(u8),
    /// A := so many bytes at a place, or at that place behind X.
    LoadAbs(u8, i32),
    LoadInd(u8, i32),
    /// X := four times the low half of a byte: the length of an IPv4 header.
    LoadMsh(i32),
    Len,
    LenX,
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
        MOD => Alu::Mod,
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
fn decode(raw: SockFilter, left: usize, dialect: Dialect) -> Option<Insn> {
    let SockFilter { code, jt, jf, k } = raw;
    let words = match dialect {
        Dialect::Words(size) => size,
        Dialect::Packet => 0,
    };
    const LD_PACKET_ABS: u16 = LD | ABS;
    const LD_PACKET_IND: u16 = LD | IND;
    const LDX_PACKET_MSH: u16 = LDX | MSH;
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
        _ if dialect == Dialect::Packet
            && matches!(code & !0x18, LD_PACKET_ABS | LD_PACKET_IND | LDX_PACKET_MSH) =>
        {
            let size = match code & 0x18 {
                W => 4,
                H => 2,
                B => 1,
                _ => return None,
            };
            match code & !0x18 {
                LD_PACKET_ABS => packet::is_known(k as i32).then_some(Insn::LoadAbs(size, k as i32))?,
                LD_PACKET_IND => Insn::LoadInd(size, k as i32),
                _ if size == 1 => Insn::LoadMsh(k as i32),
                _ => return None,
            }
        }
        LD_LEN if dialect == Dialect::Packet => Insn::Len,
        LDX_LEN if dialect == Dialect::Packet => Insn::LenX,
        LD_ABS if k < words && k & 3 == 0 => Insn::Load((k / 4) as u8),
        LD_LEN => Insn::LoadImm(words),
        LDX_LEN => Insn::LoadxImm(words),
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
            // seccomp has no remainder.
            (Alu::Mod, _) if dialect != Dialect::Packet => return None,
            (Alu::Div | Alu::Mod, K) if k == 0 => return None,
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
        bail!(ENOMEM, "bpf: no memory to check a program");
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
                "bpf: memory is read before it is written"
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
    /// Checks a program; `EINVAL` if it is not one of this dialect.
    pub fn check(code: &[SockFilter], dialect: Dialect) -> Result<Program> {
        ensure!(
            !code.is_empty() && code.len() <= MAX_INSNS,
            EINVAL,
            "bpf: a program has 1 to 4096 instructions"
        );
        let mut insns = Vec::new();
        if insns.try_reserve_exact(code.len()).is_err() {
            bail!(ENOMEM, "bpf: no memory for a program");
        }
        for (at, raw) in code.iter().enumerate() {
            match decode(*raw, code.len() - at - 1, dialect) {
                Some(insn) => insns.push(insn),
                None => bail!(EINVAL, "bpf: an instruction that is not allowed"),
            }
        }
        ensure!(
            matches!(insns.last(), Some(Insn::RetK(_) | Insn::RetA)),
            EINVAL,
            "bpf: the last instruction must return"
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
    /// The checked instructions.
    pub(crate) fn insns(&self) -> &[Insn] {
        &self.insns
    }
    /// Bytes that it takes.
    pub fn bytes(&self) -> usize {
        size_of_val(&*self.insns)
    }

    /// What the program answers.
    pub fn run(&self, input: &impl Input) -> u32 {
        let (mut a, mut x) = (0u32, 0u32);
        let mut memory = [0u32; MEM_WORDS as usize];
        let mut at = 0usize;
        while let Some(insn) = self.insns.get(at) {
            at += 1;
            match *insn {
                Insn::Load(word) => a = input.word(word),
                Insn::LoadAbs(size, k) => match input.load(k, size) {
                    Some(value) => a = value,
                    None => return 0,
                },
                Insn::LoadInd(size, k) => match input.load(k.wrapping_add(x as i32), size) {
                    Some(value) => a = value,
                    None => return 0,
                },
                Insn::LoadMsh(k) => match input.load(k, 1) {
                    Some(value) => x = (value & 15) * 4,
                    None => return 0,
                },
                Insn::Len => a = input.packet_len(),
                Insn::LenX => x = input.packet_len(),
                Insn::LoadImm(k) => a = k,
                Insn::LoadxImm(k) => x = k,
                Insn::LoadMem(word) => a = memory[word as usize & 15],
                Insn::LoadxMem(word) => x = memory[word as usize & 15],
                Insn::Store(word) => memory[word as usize & 15] = a,
                Insn::Storex(word) => memory[word as usize & 15] = x,
                Insn::AluX(Alu::Div | Alu::Mod) if x == 0 => return 0,
                Insn::AluK(op, k) => a = compute(op, a, k),
                Insn::AluX(op) => a = compute(op, a, x),
                Insn::Neg => a = a.wrapping_neg(),
                Insn::Tax => x = a,
                Insn::Txa => a = x,
                Insn::Jump(by) => at += by as usize,
                Insn::JumpK(op, k, jt, jf) => at += if holds(op, a, k) { jt } else { jf } as usize,
                Insn::JumpX(op, jt, jf) => at += if holds(op, a, x) { jt } else { jf } as usize,
                Insn::RetK(k) => return k,
                Insn::RetA => return a,
            }
        }
        0
    }
}

fn compute(op: Alu, a: u32, b: u32) -> u32 {
    match op {
        Alu::Add => a.wrapping_add(b),
        Alu::Sub => a.wrapping_sub(b),
        Alu::Mul => a.wrapping_mul(b),
        Alu::Div => a.checked_div(b).unwrap_or(0),
        Alu::Mod => a.checked_rem(b).unwrap_or(0),
        Alu::Or => a | b,
        Alu::And => a & b,
        Alu::Lsh => a.wrapping_shl(b),
        Alu::Rsh => a.wrapping_shr(b),
        Alu::Xor => a ^ b,
    }
}

pub(crate) fn holds(op: Cmp, a: u32, b: u32) -> bool {
    match op {
        Cmp::Eq => a == b,
        Cmp::Gt => a > b,
        Cmp::Ge => a >= b,
        Cmp::Set => a & b != 0,
    }
}
