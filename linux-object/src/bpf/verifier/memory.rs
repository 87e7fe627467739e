//! Loads and stores: the context is read, the stack is read where it was written.

use super::super::STACK_SIZE;
use super::super::insn::{self, Insn, atomic};
use super::super::scalar::Scalar;
use super::state::{Reg, Slot, State, bytes_of};
use super::{Verifier, refuse};
use crate::error::Result;

impl Verifier<'_> {
    /// What a load gives.
    pub(super) fn load(&mut self, state: &State, insn: &Insn) -> Result<Reg> {
        let (size, off) = (insn::size(insn.opc), i64::from(insn.off));
        match state.regs[usize::from(insn.src)] {
            Reg::Context(base) => {
                self.context_access(insn.src, base, off, size, true)?;
                Ok(Reg::Scalar(Scalar::bytes(size)))
            }
            Reg::Stack(base) => self.load_stack(state, insn.src, base, off, size),
            other => refuse!(
                self.log,
                EACCES,
                "R{} invalid mem access '{}'",
                insn.src,
                other.kind()
            ),
        }
    }

    /// `cgroup_dev_is_valid_access`: whole words, or parts of the first.
    fn context_access(&mut self, reg: u8, base: i64, off: i64, size: usize, reads: bool) -> Result<()> {
        if base != 0 {
            refuse!(
                self.log,
                EACCES,
                "dereference of modified ctx ptr R{reg} off={base} disallowed"
            );
        }
        let inside =
            off >= 0 && off + size as i64 <= self.kind.context_size() as i64 && off % size as i64 == 0;
        let whole = size == 4 || size < 4 && (0..4).contains(&off);
        if !(reads && inside && whole) {
            refuse!(
                self.log,
                EACCES,
                "invalid bpf_context access off={off} size={size}"
            );
        }
        Ok(())
    }

    fn stack_access(&mut self, reg: u8, base: i64, off: i64, size: usize, verb: &str) -> Result<i64> {
        let at = base + off;
        if at % size as i64 != 0 {
            refuse!(
                self.log,
                EACCES,
                "misaligned stack access off (0x0; 0x0)+{base}+{off} size {size}"
            );
        }
        if at < -(STACK_SIZE as i64) || at + size as i64 > 0 {
            refuse!(
                self.log,
                EACCES,
                "invalid {verb} stack R{reg} off={at} size={size}"
            );
        }
        Ok(at)
    }

    fn load_stack(&mut self, state: &State, reg: u8, base: i64, off: i64, size: usize) -> Result<Reg> {
        let at = self.stack_access(reg, base, off, size, "read from")?;
        match state.slot(at) {
            None => refuse!(
                self.log,
                EACCES,
                "invalid read from stack R{reg} off={at} size={size}"
            ),
            Some(Slot::Spill(held)) if size == 8 => Ok(held),
            Some(Slot::Spill(Reg::Scalar(held))) if at.rem_euclid(8) == 0 => {
                Ok(Reg::Scalar(held.low_bytes(size)))
            }
            Some(Slot::Spill(Reg::Scalar(_))) => Ok(Reg::Scalar(Scalar::bytes(size))),
            Some(Slot::Spill(_)) => refuse!(self.log, EACCES, "invalid size of register fill"),
            Some(Slot::Bytes(written)) => {
                let missing = bytes_of(at, size) & !written;
                if missing != 0 {
                    let byte = i64::from(missing.trailing_zeros()) - at.rem_euclid(8);
                    refuse!(
                        self.log,
                        EACCES,
                        "invalid read from stack off {at}+{byte} size {size}"
                    );
                }
                Ok(Reg::Scalar(Scalar::bytes(size)))
            }
        }
    }

    /// Stores what `value` is.
    pub(super) fn store(&mut self, state: &mut State, insn: &Insn, value: Reg, kind: &str) -> Result<()> {
        let (size, off) = (insn::size(insn.opc), i64::from(insn.off));
        match state.regs[usize::from(insn.dst)] {
            Reg::Context(_) if kind != "STX" => refuse!(
                self.log,
                EACCES,
                "BPF_{kind} stores into R{} ctx is not allowed",
                insn.dst
            ),
            Reg::Context(_) if value.is_pointer() => {
                refuse!(self.log, EACCES, "R{} leaks addr into ctx", insn.src)
            }
            Reg::Context(base) => self.context_access(insn.dst, base, off, size, false),
            Reg::Stack(base) => {
                let at = self.stack_access(insn.dst, base, off, size, "write to")?;
                if value.is_pointer() && size != 8 {
                    refuse!(self.log, EACCES, "invalid size of register spill");
                }
                self.stack_depth = self.stack_depth.max((-at) as usize);
                write_slot(state, at, size, value);
                Ok(())
            }
            other => refuse!(
                self.log,
                EACCES,
                "R{} invalid mem access '{}'",
                insn.dst,
                other.kind()
            ),
        }
    }

    /// `BPF_ATOMIC` on the stack.
    pub(super) fn atomic(&mut self, state: &mut State, insn: &Insn) -> Result<()> {
        let size = insn::size(insn.opc);
        self.read(state, insn.src)?;
        if insn.imm == atomic::CMPXCHG {
            self.read(state, 0)?;
            if state.regs[0].is_pointer() {
                refuse!(self.log, EACCES, "R0 leaks addr into mem");
            }
        }
        self.read(state, insn.dst)?;
        if state.regs[usize::from(insn.src)].is_pointer() {
            refuse!(self.log, EACCES, "R{} leaks addr into mem", insn.src);
        }
        let value = Reg::Scalar(Scalar::bytes(size));
        if let Reg::Stack(base) = state.regs[usize::from(insn.dst)]
            && self
                .load_stack(state, insn.dst, base, insn.off.into(), size)?
                .is_pointer()
        {
            refuse!(self.log, EACCES, "invalid size of register fill");
        }
        let loads = match insn.imm {
            atomic::CMPXCHG => Some(0),
            imm if imm & atomic::FETCH != 0 => Some(insn.src),
            _ => None,
        };
        if let Some(loads) = loads {
            self.written(loads)?;
        }
        self.store(state, insn, value, "ATOMIC")?;
        if let Some(loads) = loads {
            state.regs[usize::from(loads)] = value;
        }
        Ok(())
    }

    /// The buffer of a helper, of a constant size: whatever is in it is overwritten.
    pub(super) fn helper_buffer(&mut self, state: &mut State, reg: u8, size: u64) -> Result<()> {
        let base = match state.regs[usize::from(reg)] {
            Reg::Stack(base) => base,
            other => refuse!(self.log, EACCES, "R{reg} type={} expected=fp", other.kind()),
        };
        if size == 0 {
            refuse!(
                self.log,
                EACCES,
                "R{} invalid zero-sized read: u64=[0,0]",
                reg + 1
            );
        }
        if base < -(STACK_SIZE as i64) || size > STACK_SIZE as u64 || base + size as i64 > 0 {
            refuse!(
                self.log,
                EACCES,
                "invalid indirect access to stack R{reg} off={base} size={size}"
            );
        }
        self.stack_depth = self.stack_depth.max((-base) as usize);
        for at in base..base + size as i64 {
            write_slot(state, at, 1, Reg::Scalar(Scalar::bytes(1)));
        }
        Ok(())
    }
}

/// Writes to the stack, where it is allowed.
fn write_slot(state: &mut State, at: i64, size: usize, value: Reg) {
    let slot = state.slot_mut(at);
    *slot = match *slot {
        _ if size == 8 => Slot::Spill(value),
        Slot::Bytes(written) => Slot::Bytes(written | bytes_of(at, size)),
        Slot::Spill(Reg::Scalar(_)) => Slot::Bytes(0xff),
        // What is left of an address is not to be read.
        Slot::Spill(_) => Slot::Bytes(bytes_of(at, size)),
    };
}
