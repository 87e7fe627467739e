//! The checker and the interpreter against a naive model, with programs from a seed.

use super::{Program, SockFilter};
use crate::cbpf::consts::*;
use crate::seccomp::{ARCH, Action, Answer, Data};
use alloc::vec::Vec;

struct Random(u64);

impl Random {
    fn next(&mut self) -> u32 {
        // xorshift64*
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32) as u32
    }
    fn below(&mut self, n: u32) -> u32 {
        self.next() % n
    }
}

/// Runs the raw code with every check at run time; `None` where it does what no checked program may.
fn model(code: &[SockFilter], data: &[u32; 16]) -> Option<u32> {
    let (mut a, mut x, mut mem) = (0u32, 0u32, [None::<u32>; 16]);
    let mut at = 0;
    for _ in 0..=code.len() {
        let insn = *code.get(at)?;
        at += 1;
        let operand = if insn.code & X == X { x } else { insn.k };
        match insn.code & 7 {
            LD => match insn.code {
                0x20 => a = *data.get(insn.k as usize / 4)?,
                0x00 => a = insn.k,
                0x80 => a = 64,
                0x60 => a = (*mem.get(insn.k as usize)?)?,
                _ => return None,
            },
            LDX => match insn.code {
                0x01 => x = insn.k,
                0x81 => x = 64,
                0x61 => x = (*mem.get(insn.k as usize)?)?,
                _ => return None,
            },
            ST => *mem.get_mut(insn.k as usize)? = Some(a),
            STX => *mem.get_mut(insn.k as usize)? = Some(x),
            ALU => {
                a = match insn.code & 0xf0 {
                    ADD => a.wrapping_add(operand),
                    SUB => a.wrapping_sub(operand),
                    MUL => a.wrapping_mul(operand),
                    DIV if operand == 0 => return Some(0),
                    DIV => a / operand,
                    OR => a | operand,
                    AND => a & operand,
                    LSH => a << (operand & 31),
                    RSH => a >> (operand & 31),
                    XOR => a ^ operand,
                    NEG => 0u32.wrapping_sub(a),
                    _ => return None,
                }
            }
            JMP => {
                let taken = match insn.code & 0xf0 {
                    JA => {
                        at = at.checked_add(insn.k as usize)?;
                        continue;
                    }
                    JEQ => a == operand,
                    JGT => a > operand,
                    JGE => a >= operand,
                    JSET => a & operand != 0,
                    _ => return None,
                };
                at += usize::from(if taken { insn.jt } else { insn.jf });
            }
            RET => return Some(if insn.code & 0x18 == A { a } else { insn.k }),
            _ if insn.code == MISC | TAX => x = a,
            _ if insn.code == MISC | TXA => a = x,
            _ => return None,
        }
    }
    None
}

const CODES: [u16; 44] = [
    0x20, 0x20, 0x20, 0x80, 0x81, 0x00, 0x01, 0x60, 0x61, 0x02, 0x02, 0x03, 0x06, 0x16, 0x07, 0x87, 0x84,
    0x05, 0x04, 0x0c, 0x14, 0x1c, 0x24, 0x2c, 0x34, 0x3c, 0x44, 0x4c, 0x54, 0x5c, 0x64, 0x6c, 0x74, 0x7c,
    0xa4, 0xac, 0x15, 0x1d, 0x25, 0x2d, 0x35, 0x3d, 0x45, 0x4d,
];

fn program(random: &mut Random) -> Vec<SockFilter> {
    let len = 1 + random.below(24) as usize;
    let mut code: Vec<SockFilter> = (0..len)
        .map(|_| {
            let code = if random.below(40) == 0 {
                random.next() as u16
            } else {
                CODES[random.below(CODES.len() as u32) as usize]
            };
            let k = match random.below(4) {
                0 => random.below(16) * 4,
                1 => random.below(16),
                2 => random.below(4),
                _ => random.next(),
            };
            let (jt, jf) = (random.below(5) as u8, random.below(5) as u8);
            SockFilter { code, jt, jf, k }
        })
        .collect();
    if random.below(10) != 0 {
        code.push(SockFilter {
            code: RET | A,
            ..SockFilter::default()
        });
    }
    code
}

fn data(random: &mut Random) -> [u32; 16] {
    core::array::from_fn(|_| match random.below(3) {
        0 => random.below(4),
        _ => random.next(),
    })
}

#[test]
fn checked_programs_do_what_the_model_does() {
    let mut random = Random(0x5ecc_0123);
    let mut accepted = 0;
    for _ in 0..200_000 {
        let code = program(&mut random);
        let Ok(program) = Program::check(&code) else {
            continue;
        };
        accepted += 1;
        for _ in 0..4 {
            let data = data(&mut random);
            assert_eq!(Some(program.run(&data).0), model(&code, &data), "{code:?}");
        }
    }
    assert!(accepted > 5_000, "{accepted} programs were accepted");
}

#[test]
fn what_is_allowed_always_is_allowed_with_any_argument() {
    let mut random = Random(0xcac4e);
    let mut found = 0;
    for _ in 0..100_000 {
        let mut code = program(&mut random);
        if let Some(last) = code.last_mut() {
            *last = SockFilter {
                code: RET | K,
                k: Action::Allow.code(),
                ..SockFilter::default()
            };
        }
        let Ok(program) = Program::check(&code) else {
            continue;
        };
        for nr in 0..8 {
            if !program.allows_always(nr) {
                continue;
            }
            found += 1;
            let mut data = data(&mut random);
            (data[0], data[1]) = (nr, ARCH);
            assert_eq!(program.run(&data), Answer::ALLOW, "{code:?}");
        }
    }
    assert!(found > 1_000, "{found} calls were found");
}

#[test]
fn data_is_laid_out_as_user_space_sees_it() {
    let data = Data {
        nr: -2,
        arch: ARCH,
        instruction_pointer: 0x1_0000_0002,
        args: [0x3_0000_0004, 0, 0, 0, 0, 0x5_0000_0006],
    };
    let words = data.words();
    assert_eq!(words[..6], [-2i32 as u32, ARCH, 2, 1, 4, 3]);
    assert_eq!(words[14..], [6, 5]);
}

#[test]
fn actions_are_ordered_as_linux_compares_them() {
    for pair in Action::ALL.windows(2) {
        let [(first, _), (second, _)] = pair else {
            unreachable!()
        };
        assert!(Answer(first.code()).severity() < Answer(second.code()).severity());
        assert_eq!(Answer(first.code() | 7).action(), *first);
    }
    assert_eq!(Answer(0x1234_0000).action(), Action::KillProcess);
}
