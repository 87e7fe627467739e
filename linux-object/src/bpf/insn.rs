//! Instructions (`Documentation/bpf/instruction-set.rst`). The names of the opcodes are those of `rbpf::ebpf`.

use alloc::vec::Vec;

use rbpf::ebpf as op;
pub(super) use rbpf::ebpf::Insn;

use crate::error::Result;
use crate::{bail, ensure};

/// Bytes of an instruction.
pub const INSN_SIZE: usize = op::INSN_SIZE;

/// Operations of `BPF_ATOMIC` in the immediate (which the crate does not have).
pub(super) mod atomic {
    pub const FETCH: i32 = 0x01;
    pub const XCHG: i32 = 0xe1;
    pub const CMPXCHG: i32 = 0xf1;
}

/// Instructions from bytes. `EINVAL` unless they are whole ones.
pub fn decode(bytes: &[u8]) -> Result<Vec<Insn>> {
    ensure!(
        bytes.len().is_multiple_of(INSN_SIZE),
        EINVAL,
        "bpf: half an instruction"
    );
    let count = bytes.len() / INSN_SIZE;
    let mut insns = Vec::new();
    if insns.try_reserve_exact(count).is_err() {
        bail!(ENOMEM, "bpf: no memory for a program");
    }
    insns.extend((0..count).map(|at| op::get_insn(bytes, at)));
    Ok(insns)
}

/// Class of an opcode.
pub(super) const fn class(code: u8) -> u8 {
    code & op::BPF_CLS_MASK
}
/// Operation of an opcode of the classes ALU and JMP.
pub(super) const fn operation(code: u8) -> u8 {
    code & op::BPF_ALU_OP_MASK
}
/// Whether the second operand is a register.
pub(super) const fn is_reg(code: u8) -> bool {
    code & op::BPF_X != 0
}
/// Mode of an opcode of the classes that load and store.
pub(super) const fn mode(code: u8) -> u8 {
    code & 0xe0
}
/// Bytes that an opcode loads or stores.
pub(super) const fn size(code: u8) -> usize {
    match code & 0x18 {
        op::BPF_W => 4,
        op::BPF_H => 2,
        op::BPF_B => 1,
        _ => 8,
    }
}
/// Whether it jumps: not a call and not an exit.
pub(super) fn jumps(code: u8) -> bool {
    matches!(class(code), op::BPF_JMP | op::BPF_JMP32) && !matches!(code, op::CALL | op::EXIT)
}

/// Whether there is such an instruction.
pub(super) fn is_known(code: u8) -> bool {
    match class(code) {
        op::BPF_LD => match mode(code) {
            op::BPF_IMM => size(code) == 8,
            op::BPF_ABS | op::BPF_IND => size(code) != 8,
            _ => false,
        },
        op::BPF_LDX | op::BPF_ST => mode(code) == op::BPF_MEM,
        op::BPF_STX => match mode(code) {
            op::BPF_MEM => true,
            op::BPF_XADD => matches!(size(code), 4 | 8),
            _ => false,
        },
        op::BPF_ALU | op::BPF_ALU64 => match operation(code) {
            op::BPF_NEG => !is_reg(code),
            op::BPF_END => class(code) == op::BPF_ALU,
            operation => operation < op::BPF_END,
        },
        class => match operation(code) {
            op::BPF_JA | op::BPF_CALL | op::BPF_EXIT => class == op::BPF_JMP && !is_reg(code),
            operation => operation <= op::BPF_JSLE,
        },
    }
}

/// An arithmetic operation on 64 bits, whatever the operands are.
pub(super) fn alu64(operation: u8, a: u64, b: u64) -> u64 {
    match operation {
        op::BPF_ADD => a.wrapping_add(b),
        op::BPF_SUB => a.wrapping_sub(b),
        op::BPF_MUL => a.wrapping_mul(b),
        op::BPF_DIV => a.checked_div(b).unwrap_or(0),
        op::BPF_OR => a | b,
        op::BPF_AND => a & b,
        op::BPF_LSH => a.wrapping_shl(b as u32),
        op::BPF_RSH => a.wrapping_shr(b as u32),
        op::BPF_NEG => a.wrapping_neg(),
        op::BPF_MOD => a.checked_rem(b).unwrap_or(a),
        op::BPF_XOR => a ^ b,
        op::BPF_ARSH => (a as i64).wrapping_shr(b as u32) as u64,
        _ => b,
    }
}

/// Likewise on 32 bits; the upper half of the result is clear.
pub(super) fn alu32(operation: u8, a: u64, b: u64) -> u64 {
    let (a, b) = (a as u32, b as u32);
    let result = match operation {
        op::BPF_LSH => a.wrapping_shl(b),
        op::BPF_RSH => a.wrapping_shr(b),
        op::BPF_ARSH => (a as i32).wrapping_shr(b) as u32,
        op::BPF_NEG => a.wrapping_neg(),
        _ => alu64(operation, a.into(), b.into()) as u32,
    };
    result.into()
}

/// `BPF_END`: the lower `bits` of a value, in the order of the host (`little`) or turned.
pub(super) fn to_endian(value: u64, bits: i32, little: bool) -> u64 {
    let cut = match bits {
        16 => value as u16 as u64,
        32 => value as u32 as u64,
        _ => value,
    };
    match (little, bits) {
        (true, _) => cut,
        (false, 16) => u64::from((cut as u16).swap_bytes()),
        (false, 32) => u64::from((cut as u32).swap_bytes()),
        (false, _) => cut.swap_bytes(),
    }
}

/// Whether a comparison holds.
pub(super) fn compare(operation: u8, a: u64, b: u64) -> bool {
    match operation {
        op::BPF_JEQ => a == b,
        op::BPF_JNE => a != b,
        op::BPF_JGT => a > b,
        op::BPF_JGE => a >= b,
        op::BPF_JLT => a < b,
        op::BPF_JLE => a <= b,
        op::BPF_JSET => a & b != 0,
        op::BPF_JSGT => a as i64 > b as i64,
        op::BPF_JSGE => a as i64 >= b as i64,
        op::BPF_JSLT => (a as i64) < b as i64,
        op::BPF_JSLE => a as i64 <= b as i64,
        _ => true,
    }
}

/// Likewise for the lower halves.
pub(super) fn compare32(operation: u8, a: u64, b: u64) -> bool {
    let extended = |value: u64| match operation {
        op::BPF_JSGT | op::BPF_JSGE | op::BPF_JSLT | op::BPF_JSLE => value as i32 as i64 as u64,
        _ => value as u32 as u64,
    };
    compare(operation, extended(a), extended(b))
}
