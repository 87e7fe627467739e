//! The verifier and the interpreter with programs from a seed: whatever is accepted keeps what the verifier promises,
//! and computes what another interpreter computes.

use alloc::vec::Vec;

use rbpf::ebpf as op;

use super::insn::{Insn, atomic, is_known};
use super::scalar::tests::{ALU, JMP};
use super::verifier::{self, Log};
use super::*;
use crate::error::{Error, Result};

/// A xorshift generator.
pub(super) struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Random {
        Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }
    pub fn next_u64(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }
    pub fn below(&mut self, n: u64) -> u64 {
        (self.next_u64() >> 32) % n
    }
    fn of<T: Copy>(&mut self, values: &[T]) -> T {
        values[self.below(values.len() as u64) as usize]
    }
}

/// Helpers that answer with numbers from a seed.
struct TestEnv(Random);

impl Env for TestEnv {
    fn call(&mut self, _: Helper, _: u64) -> u64 {
        self.0.next_u64()
    }
    fn comm(&self) -> [u8; 16] {
        *b"0123456789abcde\0"
    }
}

fn insn(opc: u8, dst: u8, src: u8, off: i16, imm: i32) -> Insn {
    Insn {
        opc,
        dst,
        src,
        off,
        imm,
    }
}

const EXIT: Insn = Insn {
    opc: op::EXIT,
    dst: 0,
    src: 0,
    off: 0,
    imm: 0,
};

/// Lets the verifier finish.
struct Patient;

impl verifier::Loader for Patient {
    fn poll(&mut self) -> Result<()> {
        Ok(())
    }
    fn not_a_map(&self, _: i32) -> Error {
        crate::err!(EBADF)
    }
}

fn check(code: &[Insn]) -> (Result<verifier::Verified>, alloc::string::String) {
    let mut log = Log::new(true);
    let result = verifier::check(code, (ProgType::CgroupDevice, true), &mut log, &mut Patient);
    (result, log.text().into())
}

fn bytes(code: &[Insn]) -> Vec<u8> {
    code.iter().flat_map(|insn| insn.to_array()).collect()
}

/// An instruction that is not too often refused.
fn sensible(random: &mut Random, at: usize, len: usize, pure: bool) -> Insn {
    let reg = |random: &mut Random| random.below(8) as u8;
    let (dst, src) = (reg(random), reg(random));
    let small = random.of(&[0, 1, 2, 3, 7, 8, 16, 31, 100, 255, -1, -8]);
    let imm = if random.below(4) == 0 {
        random.next_u64() as i32
    } else {
        small
    };
    let sizes = [op::BPF_B, op::BPF_H, op::BPF_W, op::BPF_DW];
    let size = random.of(&sizes);
    let width = 1 << sizes.iter().position(|s| *s == size).unwrap();
    let slot = -(width * (1 + random.below(32 / width as u64) as i16));
    match random.below(if pure { 11 } else { 13 }) {
        0..=3 => {
            let class = random.of(&[op::BPF_ALU, op::BPF_ALU64]);
            let operation = random.of(&ALU);
            let shift = matches!(operation, op::BPF_LSH | op::BPF_RSH | op::BPF_ARSH);
            if operation == op::BPF_NEG {
                insn(class | operation, dst, 0, 0, 0)
            } else if random.below(2) == 0 {
                insn(class | operation | op::BPF_X, dst, src, 0, 0)
            } else {
                let imm = if shift { imm & 31 } else { imm };
                let imm = if matches!(operation, op::BPF_DIV | op::BPF_MOD) {
                    imm | 1
                } else {
                    imm
                };
                insn(class | operation, dst, 0, 0, imm)
            }
        }
        4 => insn(random.of(&[op::LE, op::BE]), dst, 0, 0, random.of(&[16, 32, 64])),
        5 => insn(op::MOV64_IMM, dst, 0, 0, imm),
        6 | 7 => {
            let class = random.of(&[op::BPF_JMP, op::BPF_JMP32]);
            let operation = random.of(&JMP);
            // Mostly onwards, now and then back.
            let left = (len - at).max(2) as u64;
            let off = if random.below(8) == 0 {
                -(1 + random.below(at as u64 + 1) as i16)
            } else {
                random.below(left - 1) as i16
            };
            match random.below(5) {
                0 => insn(op::JA, 0, 0, off.max(0), 0),
                1 => insn(class | operation | op::BPF_X, dst, src, off, 0),
                // The other interpreter does not extend the sign of what is compared as unsigned.
                _ => insn(
                    class | operation,
                    dst,
                    0,
                    off,
                    if pure { imm & i32::MAX } else { imm },
                ),
            }
        }
        8 => match random.below(3) {
            0 => insn(op::LD_W_REG, dst, 1, random.of(&[0, 4, 8]), 0),
            1 => insn(op::BPF_LDX | op::BPF_MEM | size, dst, 10, slot, 0),
            _ => insn(op::LD_H_REG, dst, 1, random.of(&[0, 2]), 0),
        },
        9 => insn(op::BPF_ST | op::BPF_MEM | size, 10, 0, slot, imm),
        10 => insn(op::BPF_STX | op::BPF_MEM | size, 10, src, slot, 0),
        11 => {
            let number = random.of(&[5, 7, 8, 14, 15, 16, 80, 186, 187, 6]);
            insn(op::CALL, 0, 0, 0, number)
        }
        _ => {
            let size = random.of(&[op::BPF_W, op::BPF_DW]);
            let operation = random.of(&[0, 1, 0x40, 0x51, 0xa1, atomic::XCHG, atomic::CMPXCHG]);
            let width = if size == op::BPF_W { 4 } else { 8 };
            insn(
                op::BPF_STX | op::BPF_XADD | size,
                10,
                src,
                slot / width * width,
                operation,
            )
        }
    }
}

fn program(random: &mut Random, pure: bool) -> Vec<Insn> {
    let len = 3 + random.below(24) as usize;
    let mut code: Vec<Insn> = Vec::new();
    // Something in each register, so that less is refused.
    for reg in [0, 2, 3, 4, 5, 6, 7] {
        code.push(match random.below(3) {
            0 => insn(op::LD_W_REG, reg, 1, random.of(&[0, 4, 8]), 0),
            1 => insn(op::MOV64_REG, reg, random.of(&[1, 10]), 0, 0),
            _ => insn(op::MOV64_IMM, reg, 0, 0, random.next_u64() as i32),
        });
    }
    for at in 0..len {
        code.push(sensible(random, at, len, pure));
    }
    code.push(insn(op::AND64_IMM, 0, 0, 0, 1));
    code.push(EXIT);
    code
}

fn context(random: &mut Random) -> [u8; CONTEXT_SIZE] {
    let mut context = [0; CONTEXT_SIZE];
    for byte in &mut context {
        *byte = if random.below(2) == 0 {
            random.below(4) as u8
        } else {
            random.next_u64() as u8
        };
    }
    context
}

#[test]
fn what_is_accepted_runs_well() {
    let mut accepted = 0;
    for seed in 0..200_000 {
        let mut random = Random::new(seed);
        let code = program(&mut random, false);
        let Ok(verified) = check(&code).0 else { continue };
        accepted += 1;
        for _ in 0..8 {
            let context = context(&mut random);
            let mut env = TestEnv(Random::new(random.next_u64()));
            let answer = interpreter::run(&code, verified.steps, &context, &mut env);
            assert!(
                answer.is_some_and(|answer| answer <= 1),
                "seed {seed}: {answer:?} {code:#?}"
            );
        }
    }
    assert!(accepted > 2000, "only {accepted} programs were accepted");
}

#[test]
fn another_interpreter_agrees() {
    let mut compared = 0;
    for seed in 0..100_000 {
        let mut random = Random::new(seed + 1_000_000);
        let code = program(&mut random, true);
        let Ok(verified) = check(&code).0 else { continue };
        let raw = bytes(&code);
        let Ok(vm) = rbpf::EbpfVmRaw::new(Some(&raw)) else {
            continue;
        };
        for _ in 0..4 {
            let mut context = context(&mut random);
            let mut env = TestEnv(Random::new(1));
            let ours = interpreter::run(&code, verified.steps, &context, &mut env);
            // It gives up on what it takes for an access outside of the stack.
            let Ok(theirs) = vm.execute_program(&mut context) else {
                continue;
            };
            assert_eq!(ours, Some(theirs), "seed {seed}: {code:#?}");
            compared += 1;
        }
    }
    assert!(compared > 2000, "only {compared} runs were compared");
}

#[test]
fn bytes_of_any_kind_do_no_harm() {
    for seed in 0..100_000 {
        let mut random = Random::new(seed + 5_000_000);
        let len = 1 + random.below(12) as usize;
        let mut code: Vec<Insn> = (0..len)
            .map(|_| {
                let word = random.next_u64();
                let mut code = word as u8;
                while !is_known(code) && random.below(10) != 0 {
                    code = random.next_u64() as u8;
                }
                let off = if random.below(2) == 0 {
                    (word >> 16) as i16 % 8
                } else {
                    (word >> 16) as i16
                };
                insn(
                    code,
                    (word >> 8) as u8 & 15,
                    (word >> 12) as u8 & 15,
                    off,
                    (word >> 32) as i32,
                )
            })
            .collect();
        if random.below(4) != 0 {
            code.push(insn(op::MOV64_IMM, 0, 0, 0, 0));
            code.push(EXIT);
        }
        if let Ok(verified) = check(&code).0 {
            let context = context(&mut random);
            let mut env = TestEnv(Random::new(seed));
            assert!(
                interpreter::run(&code, verified.steps, &context, &mut env).is_some_and(|answer| answer <= 1)
            );
        }
        // And whatever was refused, run all the same: it ends, and touches nothing else.
        let mut env = TestEnv(Random::new(seed));
        let _ = interpreter::run(&code, 1000, &[0; CONTEXT_SIZE], &mut env);
    }
}

#[test]
fn a_list_of_rules_is_verified_in_linear_time() {
    // As container runtimes make it: kind, access, major and minor in registers, then rule after rule.
    let mut code = alloc::vec![
        insn(op::LD_W_REG, 2, 1, 0, 0),
        insn(op::AND32_IMM, 2, 0, 0, 0xffff),
        insn(op::LD_W_REG, 3, 1, 0, 0),
        insn(op::RSH32_IMM, 3, 0, 0, 16),
        insn(op::LD_W_REG, 4, 1, 4, 0),
        insn(op::LD_W_REG, 5, 1, 8, 0),
    ];
    for rule in 0..200 {
        code.extend([
            insn(op::JNE_IMM, 2, 0, 7, 1 + rule % 2),
            insn(op::MOV32_REG, 1, 3, 0, 0),
            insn(op::AND32_IMM, 1, 0, 0, 3),
            insn(op::JNE_REG, 1, 3, 4, 0),
            insn(op::JNE_IMM, 4, 0, 3, rule / 7),
            insn(op::JNE_IMM, 5, 0, 2, rule),
            insn(op::MOV64_IMM, 0, 0, 0, 1),
            EXIT,
        ]);
    }
    code.extend([insn(op::MOV64_IMM, 0, 0, 0, 0), EXIT]);
    let (result, log) = check(&code);
    let steps = result.expect(&log).steps;
    assert!(
        steps < 10 * code.len() as u32,
        "{steps} steps for {} instructions",
        code.len()
    );
}

#[test]
fn loops_end_or_are_refused() {
    let counted = [
        insn(op::MOV64_IMM, 0, 0, 0, 0),
        insn(op::MOV64_IMM, 2, 0, 0, 0),
        insn(op::ADD64_IMM, 2, 0, 0, 1),
        insn(op::JNE_IMM, 2, 0, -2, 1000),
        EXIT,
    ];
    let steps = check(&counted).0.unwrap().steps;
    assert_eq!(steps, 3 + 2 * 1000);
    let (endless, log) = check(&[insn(op::MOV64_IMM, 0, 0, 0, 0), insn(op::JA, 0, 0, -1, 0)]);
    assert!(
        endless.is_err() && log.contains("infinite loop detected at insn 1\n"),
        "{log}"
    );
}
