//! Runs a program that was verified.
//!
//! An address of a program is a number that only the interpreter understands: the context and the stack lie at fixed
//! places, so an access is a look into an array, and even a wrong verifier could not reach other memory.

use rbpf::ebpf as op;

use super::insn::{self, Insn, atomic};
use super::{CONTEXT_SIZE, Env, Helper, STACK_SIZE};

const CONTEXT: u64 = 0x1000_0000;
const STACK: u64 = 0x2000_0000;

/// The memory of a run.
struct Memory<'a> {
    context: &'a [u8; CONTEXT_SIZE],
    stack: [u8; STACK_SIZE],
}

impl Memory<'_> {
    fn on_stack(&mut self, address: u64, size: usize) -> Option<&mut [u8]> {
        let at = usize::try_from(address.checked_sub(STACK)?).ok()?;
        self.stack.get_mut(at..at.checked_add(size)?)
    }
    fn load(&mut self, address: u64, size: usize) -> Option<u64> {
        let bytes = match address.checked_sub(CONTEXT) {
            Some(at) if at < CONTEXT_SIZE as u64 => self.context.get(at as usize..at as usize + size)?,
            _ => self.on_stack(address, size)?,
        };
        let mut word = [0; 8];
        word[..size].copy_from_slice(bytes);
        Some(u64::from_le_bytes(word))
    }
    fn store(&mut self, address: u64, size: usize, value: u64) -> Option<()> {
        self.on_stack(address, size)?
            .copy_from_slice(&value.to_le_bytes()[..size]);
        Some(())
    }
}

/// Runs `insns`, at most `limit` steps. `None`: it did what the verifier forbids, which a verified program does not.
pub(super) fn run(
    insns: &[Insn],
    limit: u32,
    context: &[u8; CONTEXT_SIZE],
    env: &mut dyn Env,
) -> Option<u64> {
    let mut memory = Memory {
        context,
        stack: [0; STACK_SIZE],
    };
    let mut regs = [0u64; 16];
    regs[1] = CONTEXT;
    regs[10] = STACK + STACK_SIZE as u64;
    let mut at = 0usize;
    for _ in 0..limit {
        let insn = insns.get(at)?;
        let (dst, src) = (usize::from(insn.dst & 15), usize::from(insn.src & 15));
        let code = insn.opc;
        let operand = if insn::is_reg(code) {
            regs[src]
        } else {
            insn.imm as i64 as u64
        };
        at += 1;
        match insn::class(code) {
            op::BPF_ALU if insn::operation(code) == op::BPF_END => {
                regs[dst] = insn::to_endian(regs[dst], insn.imm, code == op::LE);
            }
            op::BPF_ALU => regs[dst] = insn::alu32(insn::operation(code), regs[dst], operand),
            op::BPF_ALU64 => regs[dst] = insn::alu64(insn::operation(code), regs[dst], operand),
            op::BPF_LD => {
                let upper = insns.get(at)?.imm as u32;
                regs[dst] = u64::from(insn.imm as u32) | u64::from(upper) << 32;
                at += 1;
            }
            op::BPF_LDX => {
                let address = regs[src].wrapping_add(insn.off as u64);
                regs[dst] = memory.load(address, insn::size(code))?;
            }
            op::BPF_ST => {
                let address = regs[dst].wrapping_add(insn.off as u64);
                memory.store(address, insn::size(code), insn.imm as u64)?;
            }
            op::BPF_STX => {
                let address = regs[dst].wrapping_add(insn.off as u64);
                if insn::mode(code) == op::BPF_MEM {
                    memory.store(address, insn::size(code), regs[src])?;
                } else {
                    atomic(&mut memory, &mut regs, insn, address)?;
                }
            }
            _ if code == op::EXIT => return Some(regs[0]),
            _ if code == op::CALL => {
                regs[0] = match Helper::from_number(insn.imm)? {
                    Helper::GetCurrentComm => {
                        let size = usize::try_from(regs[2]).ok()?;
                        let buffer = memory.on_stack(regs[1], size)?;
                        let comm = env.comm();
                        for (at, byte) in buffer.iter_mut().enumerate() {
                            *byte = comm.get(at).copied().unwrap_or(0);
                        }
                        // A name that does not fit ends all the same.
                        *buffer.last_mut()? = 0;
                        0
                    }
                    helper => env.call(helper, regs[1]),
                };
            }
            class => {
                let operation = insn::operation(code);
                let jumps = if class == op::BPF_JMP32 {
                    insn::compare32(operation, regs[dst], operand)
                } else {
                    operation == op::BPF_JA || insn::compare(operation, regs[dst], operand)
                };
                if jumps {
                    at = at.checked_add_signed(insn.off.into())?;
                }
            }
        }
    }
    None
}

/// `BPF_ATOMIC`. Nobody else sees the stack of a run, so there is nothing to be atomic against.
fn atomic(memory: &mut Memory<'_>, regs: &mut [u64; 16], insn: &Insn, address: u64) -> Option<()> {
    let size = insn::size(insn.opc);
    let (src, cut) = (usize::from(insn.src & 15), |value: u64| {
        if size == 4 {
            value & u64::from(u32::MAX)
        } else {
            value
        }
    });
    let old = memory.load(address, size)?;
    let operand = cut(regs[src]);
    match insn.imm {
        atomic::CMPXCHG => {
            if old == cut(regs[0]) {
                memory.store(address, size, operand)?;
            }
            regs[0] = old;
            return Some(());
        }
        atomic::XCHG => memory.store(address, size, operand)?,
        imm => {
            let new = insn::alu64((imm & 0xf0) as u8, old, operand);
            memory.store(address, size, new)?;
        }
    }
    if insn.imm & atomic::FETCH != 0 {
        regs[src] = old;
    }
    Some(())
}
