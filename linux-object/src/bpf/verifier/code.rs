//! The code as it stands: which instructions there are, where jumps go, what is reached.

use alloc::vec::Vec;

use rbpf::ebpf as op;

use super::super::insn::{self, Insn, atomic};
use super::{Loader, Log, refuse};
use crate::bail;
use crate::error::Result;

/// `BPF_PSEUDO_CALL` and the like in the source register of a call.
const PSEUDO_NONE: u8 = 0;

fn table(len: usize) -> Result<Vec<bool>> {
    let mut flags = Vec::new();
    if flags.try_reserve_exact(len).is_err() {
        bail!(ENOMEM, "bpf: no memory for a table of a program");
    }
    flags.resize(len, false);
    Ok(flags)
}

/// Checks the code; tells which instructions are the targets of jumps.
pub(super) fn check(insns: &[Insn], loader: &dyn Loader, log: &mut Log) -> Result<Vec<bool>> {
    calls(insns, log)?;
    let meets = jumps(insns, log)?;
    opcodes(insns, loader, log)?;
    reached(insns, log)?;
    Ok(meets)
}

fn calls(insns: &[Insn], log: &mut Log) -> Result<()> {
    for insn in insns {
        if insn.opc == op::CALL && insn.src != PSEUDO_NONE {
            refuse!(
                log,
                EINVAL,
                "calls to other bpf or kernel functions are not supported"
            );
        }
    }
    Ok(())
}

/// The place where a jump goes.
pub(super) fn target(at: usize, insn: &Insn) -> i64 {
    at as i64 + i64::from(insn.off) + 1
}

fn jumps(insns: &[Insn], log: &mut Log) -> Result<Vec<bool>> {
    let mut meets = table(insns.len())?;
    for (at, insn) in insns.iter().enumerate() {
        if insn::jumps(insn.opc) {
            let target = target(at, insn);
            match usize::try_from(target)
                .ok()
                .and_then(|target| meets.get_mut(target))
            {
                Some(meets) => *meets = true,
                None => refuse!(log, EINVAL, "jump out of range from insn {at} to {target}"),
            }
        }
        if at + 1 == insns.len() && !matches!(insn.opc, op::EXIT | op::JA) {
            refuse!(log, EINVAL, "last insn is not an exit or jmp");
        }
    }
    Ok(meets)
}

fn opcodes(insns: &[Insn], loader: &dyn Loader, log: &mut Log) -> Result<()> {
    let mut at = 0;
    while at < insns.len() {
        let insn = &insns[at];
        let code = insn.opc;
        if insn::class(code) == op::BPF_LDX && (insn::mode(code) != op::BPF_MEM || insn.imm != 0) {
            refuse!(log, EINVAL, "BPF_LDX uses reserved fields");
        }
        if code == op::LD_DW_IMM {
            let second = insns
                .get(at + 1)
                .filter(|second| (second.opc, second.dst, second.src, second.off) == (0, 0, 0, 0));
            let Some(second) = second else {
                refuse!(log, EINVAL, "invalid bpf_ld_imm64 insn");
            };
            match insn.src {
                0 => {}
                // A map by its descriptor, or a value in it: there are none.
                1 if second.imm == 0 => return not_a_map(insn.imm, loader, log),
                2 => return not_a_map(insn.imm, loader, log),
                _ => refuse!(log, EINVAL, "unrecognized bpf_ld_imm64 insn"),
            }
            at += 2;
            continue;
        }
        if !insn::is_known(code) {
            refuse!(log, EINVAL, "unknown opcode {code:02x}");
        }
        at += 1;
    }
    Ok(())
}

fn not_a_map(fd: i32, loader: &dyn Loader, log: &mut Log) -> Result<()> {
    log.line(format_args!("fd {fd} is not pointing to valid bpf_map"));
    Err(loader.not_a_map(fd))
}

/// Fields that an instruction does not use must be zero. Asked when a path comes to it, as Linux does.
pub(super) fn fields(insn: &Insn, log: &mut Log) -> Result<()> {
    let code = insn.opc;
    let operation = insn::operation(code);
    let operand = if insn::is_reg(code) {
        insn.imm == 0
    } else {
        insn.src == 0
    };
    match insn::class(code) {
        op::BPF_ALU | op::BPF_ALU64 => {
            let (used, name) = match operation {
                op::BPF_NEG => (insn.src == 0 && insn.off == 0 && insn.imm == 0, "NEG"),
                op::BPF_END => {
                    let sizes = matches!(insn.imm, 16 | 32 | 64);
                    (insn.src == 0 && insn.off == 0 && sizes, "END")
                }
                op::BPF_MOV => (operand && insn.off == 0, "MOV"),
                _ => (operand && insn.off == 0, "ALU"),
            };
            if !used {
                refuse!(log, EINVAL, "BPF_{name} uses reserved fields");
            }
            if matches!(operation, op::BPF_DIV | op::BPF_MOD) && !insn::is_reg(code) && insn.imm == 0 {
                refuse!(log, EINVAL, "div by zero");
            }
            let shifts = matches!(operation, op::BPF_LSH | op::BPF_RSH | op::BPF_ARSH);
            let bits = if insn::class(code) == op::BPF_ALU64 {
                64
            } else {
                32
            };
            if shifts && !insn::is_reg(code) && !(0..bits).contains(&insn.imm) {
                refuse!(log, EINVAL, "invalid shift {}", insn.imm);
            }
        }
        op::BPF_JMP | op::BPF_JMP32 => {
            let (used, name) = match operation {
                op::BPF_JA => (insn.src == 0 && insn.dst == 0 && insn.imm == 0, "JA"),
                op::BPF_EXIT => (
                    insn.src == 0 && insn.dst == 0 && insn.imm == 0 && insn.off == 0,
                    "EXIT",
                ),
                op::BPF_CALL => (insn.dst == 0 && insn.off == 0, "CALL"),
                _ => (operand, "JMP/JMP32"),
            };
            if !used {
                refuse!(log, EINVAL, "BPF_{name} uses reserved fields");
            }
        }
        op::BPF_ST if insn.src != 0 => refuse!(log, EINVAL, "BPF_ST uses reserved fields"),
        op::BPF_STX if insn::mode(code) == op::BPF_MEM && insn.imm != 0 => {
            refuse!(log, EINVAL, "BPF_STX uses reserved fields")
        }
        op::BPF_STX if insn::mode(code) != op::BPF_MEM => {
            let plain = insn.imm & !atomic::FETCH;
            let known = matches!(insn.imm, atomic::XCHG | atomic::CMPXCHG)
                || [op::BPF_ADD, op::BPF_OR, op::BPF_AND, op::BPF_XOR]
                    .iter()
                    .any(|&known| i32::from(known) == plain);
            if !known {
                refuse!(
                    log,
                    EINVAL,
                    "BPF_ATOMIC uses invalid atomic opcode {:02x}",
                    insn.imm
                );
            }
        }
        op::BPF_LD => match insn::mode(code) {
            op::BPF_IMM if insn::size(code) != 8 => refuse!(log, EINVAL, "invalid BPF_LD_IMM insn"),
            op::BPF_IMM if insn.off != 0 => refuse!(log, EINVAL, "BPF_LD_IMM64 uses reserved fields"),
            op::BPF_IMM => {}
            _ => refuse!(
                log,
                EINVAL,
                "BPF_LD_[ABS|IND] instructions not allowed for this program type"
            ),
        },
        _ => {}
    }
    Ok(())
}

/// Every instruction must be reached by some path.
fn reached(insns: &[Insn], log: &mut Log) -> Result<()> {
    let mut reached = table(insns.len())?;
    let mut todo: Vec<usize> = Vec::new();
    if todo.try_reserve_exact(insns.len()).is_err() {
        bail!(ENOMEM, "bpf: no memory for a table of a program");
    }
    reached[0] = true;
    todo.push(0);
    while let Some(at) = todo.pop() {
        let insn = &insns[at];
        let falls = !matches!(insn.opc, op::EXIT | op::JA);
        let jumps = insn::jumps(insn.opc).then(|| target(at, insn) as usize);
        for next in falls.then_some(at + 1).into_iter().chain(jumps) {
            // Both were seen to be inside. Each is put down once, so there is room.
            if let Some(flag) = reached.get_mut(next).filter(|flag| !**flag) {
                *flag = true;
                todo.push(next);
            }
        }
    }
    if let Some(at) = reached.iter().position(|reached| !reached) {
        refuse!(log, EINVAL, "unreachable insn {at}");
    }
    Ok(())
}
