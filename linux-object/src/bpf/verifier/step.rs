//! One instruction on what is known.

use alloc::boxed::Box;

use rbpf::ebpf as op;

use super::super::Helper;
use super::super::helper::NAMES;
use super::super::insn::{self, Insn};
use super::super::scalar::Scalar;
use super::code;
use super::state::{Reg, State};
use super::{Next, Verifier, refuse};
use crate::error::Result;

/// Addresses stay below this distance from where they began (`BPF_MAX_VAR_OFF`).
const MAX_OFFSET: i64 = 1 << 29;

impl Verifier<'_> {
    /// The register may be read.
    pub(super) fn read(&mut self, state: &State, reg: u8) -> Result<Reg> {
        match state.regs.get(usize::from(reg)) {
            None => refuse!(self.log, EINVAL, "R{reg} is invalid"),
            Some(Reg::Nothing) => refuse!(self.log, EACCES, "R{reg} !read_ok"),
            Some(held) => Ok(*held),
        }
    }
    /// The register may be written.
    pub(super) fn written(&mut self, reg: u8) -> Result<()> {
        match reg {
            0..=9 => Ok(()),
            10 => refuse!(self.log, EACCES, "frame pointer is read only"),
            _ => refuse!(self.log, EINVAL, "R{reg} is invalid"),
        }
    }

    pub(super) fn step(&mut self, at: usize, state: &mut State) -> Result<Next> {
        let insns = self.insns;
        let Some(insn) = insns.get(at) else {
            refuse!(self.log, EINVAL, "invalid insn idx {at} insn_cnt {}", insns.len());
        };
        code::fields(insn, self.log)?;
        let code = insn.opc;
        let dst = usize::from(insn.dst);
        match insn::class(code) {
            op::BPF_ALU | op::BPF_ALU64 => self.alu(state, insn)?,
            op::BPF_LD => {
                self.written(insn.dst)?;
                let upper = insns.get(at + 1).map_or(0, |second| second.imm as u32);
                let value = u64::from(insn.imm as u32) | u64::from(upper) << 32;
                state.regs[dst] = Reg::Scalar(Scalar::known(value));
                return Ok(Next::At(at + 2));
            }
            op::BPF_LDX => {
                self.read(state, insn.src)?;
                self.written(insn.dst)?;
                state.regs[dst] = self.load(state, insn)?;
            }
            op::BPF_STX if insn::mode(code) == op::BPF_MEM => {
                let value = self.read(state, insn.src)?;
                self.read(state, insn.dst)?;
                self.store(state, insn, value, "STX")?;
            }
            op::BPF_STX => self.atomic(state, insn)?,
            op::BPF_ST => {
                self.read(state, insn.dst)?;
                let value = Scalar::known(insn.imm as i64 as u64);
                self.store(state, insn, Reg::Scalar(value), "ST")?;
            }
            _ if code == op::EXIT => {
                self.exit(state)?;
                return Ok(Next::End);
            }
            _ if code == op::CALL => self.call(state, insn)?,
            _ if code == op::JA => return Ok(Next::At(code::target(at, insn) as usize)),
            _ => return self.branch(at, state, insn),
        }
        Ok(Next::At(at + 1))
    }

    fn alu(&mut self, state: &mut State, insn: &Insn) -> Result<()> {
        let code = insn.opc;
        let operation = insn::operation(code);
        let wide = insn::class(code) == op::BPF_ALU64;
        let dst = usize::from(insn.dst);
        let alone = matches!(operation, op::BPF_END | op::BPF_NEG);
        let operand = if insn::is_reg(code) && !alone {
            self.read(state, insn.src)?
        } else {
            Reg::Scalar(Scalar::known(insn.imm as i64 as u64))
        };
        if operation == op::BPF_MOV {
            self.written(insn.dst)?;
            state.regs[dst] = match operand {
                held if wide => held,
                Reg::Scalar(value) => Reg::Scalar(value.low32()),
                _ => refuse!(self.log, EACCES, "R{} partial copy of pointer", insn.src),
            };
            return Ok(());
        }
        let held = self.read(state, insn.dst)?;
        self.written(insn.dst)?;
        state.regs[dst] = match (held, operand) {
            (Reg::Scalar(value), _) if operation == op::BPF_END => {
                Reg::Scalar(value.endian(insn.imm, code == op::LE))
            }
            (Reg::Scalar(a), Reg::Scalar(b)) => Reg::Scalar(if wide {
                Scalar::alu64(operation, a, b)
            } else {
                Scalar::alu32(operation, a, b)
            }),
            _ if alone => refuse!(self.log, EACCES, "R{dst} pointer arithmetic prohibited"),
            (held, operand) => self.pointer(insn, held, operand)?,
        };
        Ok(())
    }

    /// Arithmetic with an address: only a constant may be added or taken away.
    fn pointer(&mut self, insn: &Insn, held: Reg, operand: Reg) -> Result<Reg> {
        let operation = insn::operation(insn.opc);
        let (dst, symbol) = (insn.dst, symbol(operation));
        let (base, by) = match (held, operand) {
            (Reg::Scalar(by), base) | (base, Reg::Scalar(by)) => (base, by),
            _ => refuse!(self.log, EACCES, "R{dst} pointer {symbol} pointer prohibited"),
        };
        if insn::class(insn.opc) == op::BPF_ALU {
            refuse!(self.log, EACCES, "R{dst} 32-bit pointer arithmetic prohibited");
        }
        match operation {
            op::BPF_ADD => {}
            op::BPF_SUB if held.is_pointer() => {}
            op::BPF_SUB => refuse!(self.log, EACCES, "R{dst} tried to subtract pointer from scalar"),
            op::BPF_AND | op::BPF_OR | op::BPF_XOR => {
                refuse!(
                    self.log,
                    EACCES,
                    "R{dst} bitwise operator {symbol} on pointer prohibited"
                )
            }
            _ => refuse!(
                self.log,
                EACCES,
                "R{dst} pointer arithmetic with {symbol} operator prohibited"
            ),
        }
        let Some(by) = by.constant() else {
            refuse!(
                self.log,
                EACCES,
                "math between {} pointer and register with unbounded min value is not allowed",
                base.kind()
            );
        };
        let by = by as i64;
        if !(-MAX_OFFSET < by && by < MAX_OFFSET) {
            refuse!(
                self.log,
                EACCES,
                "math between {} pointer and {by} is not allowed",
                base.kind()
            );
        }
        let by = if operation == op::BPF_SUB { -by } else { by };
        let (moved, offset) = match base {
            Reg::Context(offset) => (Reg::Context(offset + by), offset + by),
            Reg::Stack(offset) => (Reg::Stack(offset + by), offset + by),
            other => (other, 0),
        };
        if !(-MAX_OFFSET < offset && offset < MAX_OFFSET) {
            refuse!(
                self.log,
                EACCES,
                "{} pointer offset {offset} is not allowed",
                base.kind()
            );
        }
        Ok(moved)
    }

    fn call(&mut self, state: &mut State, insn: &Insn) -> Result<()> {
        let number = insn.imm;
        let name = usize::try_from(number).ok().and_then(|number| NAMES.get(number));
        let Some(name) = name else {
            refuse!(self.log, EINVAL, "invalid func unknown#{number}");
        };
        let Some(helper) = Helper::from_number(number) else {
            refuse!(self.log, EINVAL, "unknown func bpf_{name}#{number}");
        };
        match helper {
            Helper::GetCurrentComm => {
                self.read(state, 1)?;
                let size = self.read(state, 2)?;
                match size {
                    Reg::Scalar(size) => match size.constant() {
                        Some(size) => self.helper_buffer(state, 1, size)?,
                        None => refuse!(
                            self.log,
                            EACCES,
                            "R2 unbounded memory access, use 'var &= const' or 'if (var < const)'"
                        ),
                    },
                    other => refuse!(self.log, EACCES, "R2 type={} expected=scalar", other.kind()),
                }
            }
            Helper::SetRetval if self.read(state, 1)?.is_pointer() => {
                refuse!(self.log, EACCES, "R1 leaks addr into helper function")
            }
            _ => {}
        }
        state.regs[1..6].fill(Reg::Nothing);
        state.regs[0] = Reg::Scalar(Scalar::UNKNOWN);
        Ok(())
    }

    fn exit(&mut self, state: &State) -> Result<()> {
        match self.read(state, 0)? {
            Reg::Scalar(answer) if answer.max <= 1 => Ok(()),
            Reg::Scalar(answer) if answer.mask == u64::MAX => refuse!(
                self.log,
                EINVAL,
                "At program exit the register R0 has unknown scalar value should have been in (0x0; 0x1)"
            ),
            Reg::Scalar(answer) => refuse!(
                self.log,
                EINVAL,
                "At program exit the register R0 has value ({:#x}; {:#x}) should have been in (0x0; 0x1)",
                answer.value,
                answer.mask
            ),
            other if self.perfmon => refuse!(
                self.log,
                EINVAL,
                "At program exit the register R0 is not a known value ({})",
                other.kind()
            ),
            _ => refuse!(self.log, EACCES, "R0 leaks addr as return value"),
        }
    }

    fn branch(&mut self, at: usize, state: &mut State, insn: &Insn) -> Result<Next> {
        let (code, dst, src) = (insn.opc, usize::from(insn.dst), usize::from(insn.src));
        let operation = insn::operation(code);
        let half = insn::class(code) == op::BPF_JMP32;
        let by_reg = insn::is_reg(code);
        let operand = if by_reg {
            self.read(state, insn.src)?
        } else {
            Reg::Scalar(Scalar::known(insn.imm as i64 as u64))
        };
        let held = self.read(state, insn.dst)?;
        let (Reg::Scalar(a), Reg::Scalar(b)) = (held, operand) else {
            let which = if held.is_pointer() { dst } else { src };
            refuse!(self.log, EACCES, "R{which} pointer comparison prohibited");
        };
        let target = code::target(at, insn) as usize;
        let after = |held: bool| match Scalar::decide(operation, a, b, half) {
            Some(decided) if decided != held => None,
            // A register compared with itself, or two of one value, are decided only by their bounds.
            _ => a.after(operation, b, half, held),
        };
        let with = |state: &State, known: Scalar| {
            let mut state = Box::new(state.clone());
            state.regs[dst] = Reg::Scalar(known);
            state
        };
        match (after(true), after(false)) {
            (Some(known), None) => {
                state.regs[dst] = Reg::Scalar(known);
                Ok(Next::At(target))
            }
            (None, Some(known)) => {
                state.regs[dst] = Reg::Scalar(known);
                Ok(Next::At(at + 1))
            }
            (Some(holds), Some(not)) => {
                // Where less is known goes first: it covers the other where they meet again.
                let (first, second, known, other) = if holds.mask.count_ones() >= not.mask.count_ones() {
                    (target, at + 1, holds, not)
                } else {
                    (at + 1, target, not, holds)
                };
                let other = with(state, other);
                state.regs[dst] = Reg::Scalar(known);
                Ok(Next::Both(first, second, other))
            }
            // What was known contradicts itself: the point is never reached.
            (None, None) => Ok(Next::End),
        }
    }
}

/// An operation in messages.
fn symbol(operation: u8) -> &'static str {
    match operation {
        op::BPF_ADD => "+=",
        op::BPF_SUB => "-=",
        op::BPF_MUL => "*=",
        op::BPF_DIV => "/=",
        op::BPF_OR => "|=",
        op::BPF_AND => "&=",
        op::BPF_LSH => "<<=",
        op::BPF_RSH => ">>=",
        op::BPF_MOD => "%=",
        op::BPF_XOR => "^=",
        _ => "s>>=",
    }
}
