//! What is known about a number: which bits (Linux's `tnum`, `Documentation/bpf/verifier.rst`, "Register value
//! tracking") and between which bounds.
//!
//! Invariant: `value & mask == 0`, `min <= max`, and the bits and bounds were narrowed by each other.

use rbpf::ebpf as op;

use super::insn::{alu32, alu64, compare, compare32, to_endian};

/// A number of which something is known.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Scalar {
    /// The bits that are known to be one.
    pub value: u64,
    /// The bits that are not known.
    pub mask: u64,
    pub min: u64,
    pub max: u64,
}

impl Scalar {
    pub const UNKNOWN: Scalar = Scalar {
        value: 0,
        mask: u64::MAX,
        min: 0,
        max: u64::MAX,
    };
    pub const fn known(value: u64) -> Scalar {
        Scalar {
            value,
            mask: 0,
            min: value,
            max: value,
        }
    }
    /// Any number of so many bytes.
    pub const fn bytes(size: usize) -> Scalar {
        let mask = if size >= 8 {
            u64::MAX
        } else {
            (1 << (size * 8)) - 1
        };
        Scalar {
            value: 0,
            mask,
            min: 0,
            max: mask,
        }
    }
    pub fn constant(self) -> Option<u64> {
        (self.mask == 0).then_some(self.value)
    }
    pub fn may_be(self, value: u64) -> bool {
        value & !self.mask == self.value && (self.min..=self.max).contains(&value)
    }
    /// Whether every number that `other` may be this may be, too.
    pub fn covers(self, other: Scalar) -> bool {
        other.mask & !self.mask == 0
            && other.value & !self.mask == self.value
            && self.min <= other.min
            && other.max <= self.max
    }

    /// Bits and bounds, narrowed by each other; `None` if nothing is left.
    fn narrowed(value: u64, mask: u64, min: u64, max: u64) -> Option<Scalar> {
        let (mut value, mut mask, mut min, mut max) = (value, mask, min, max);
        for _ in 0..2 {
            min = min.max(value);
            max = max.min(value | mask);
            if min > max {
                return None;
            }
            // What all numbers between the bounds have in common.
            let differ = u64::MAX.checked_shr((min ^ max).leading_zeros()).unwrap_or(0);
            let common = min & !differ;
            if (value ^ common) & !mask & !differ != 0 {
                return None;
            }
            mask &= differ;
            value = (value | common) & !mask;
        }
        Some(Scalar {
            value,
            mask,
            min,
            max,
        })
    }
    fn of(value: u64, mask: u64, bounds: Option<(u64, u64)>) -> Scalar {
        let (min, max) = bounds.unwrap_or((0, u64::MAX));
        Scalar::narrowed(value & !mask, mask, min, max).unwrap_or(Scalar {
            min: 0,
            max: u64::MAX,
            value: value & !mask,
            mask,
        })
    }

    /// The lower half.
    pub fn low32(self) -> Scalar {
        let low = u64::from(u32::MAX);
        let bounds = (self.min >> 32 == self.max >> 32).then_some((self.min & low, self.max & low));
        Scalar::of(self.value & low, self.mask & low, bounds)
    }
    /// The lower `size` bytes.
    pub fn low_bytes(self, size: usize) -> Scalar {
        Scalar::alu64(op::BPF_AND, self, Scalar::known(Scalar::bytes(size).max))
    }

    /// The result of an operation on 64 bits.
    pub fn alu64(operation: u8, a: Scalar, b: Scalar) -> Scalar {
        if let (Some(a), Some(b)) = (a.constant(), b.constant()) {
            return Scalar::known(alu64(operation, a, b));
        }
        match operation {
            op::BPF_ADD => {
                let sum = a.value.wrapping_add(b.value);
                let carries = sum.wrapping_add(a.mask.wrapping_add(b.mask)) ^ sum;
                let bounds = a.max.checked_add(b.max).map(|max| (a.min + b.min, max));
                Scalar::of(sum, carries | a.mask | b.mask, bounds)
            }
            op::BPF_SUB => {
                let difference = a.value.wrapping_sub(b.value);
                let borrows = difference.wrapping_add(a.mask) ^ difference.wrapping_sub(b.mask);
                let bounds = (a.min >= b.max).then(|| (a.min - b.max, a.max - b.min));
                Scalar::of(difference, borrows | a.mask | b.mask, bounds)
            }
            op::BPF_AND => {
                let value = a.value & b.value;
                let mask = (a.value | a.mask) & (b.value | b.mask) & !value;
                Scalar::of(value, mask, Some((0, a.max.min(b.max))))
            }
            op::BPF_OR => {
                let value = a.value | b.value;
                Scalar::of(
                    value,
                    (a.mask | b.mask) & !value,
                    Some((a.min.max(b.min), u64::MAX)),
                )
            }
            op::BPF_XOR => Scalar::of(a.value ^ b.value, a.mask | b.mask, None),
            op::BPF_NEG => Scalar::alu64(op::BPF_SUB, Scalar::known(0), a),
            op::BPF_MOV => b,
            op::BPF_LSH | op::BPF_RSH | op::BPF_ARSH => match b.constant() {
                Some(by) => a.shifted(operation, by as u32 & 63),
                None => Scalar::UNKNOWN,
            },
            _ => Scalar::UNKNOWN,
        }
    }
    fn shifted(self, operation: u8, by: u32) -> Scalar {
        let Scalar {
            value,
            mask,
            min,
            max,
        } = self;
        match operation {
            op::BPF_LSH => {
                let bounds = (max <= u64::MAX >> by).then(|| (min << by, max << by));
                Scalar::of(value << by, mask << by, bounds)
            }
            op::BPF_ARSH if max > i64::MAX as u64 => {
                Scalar::of(((value as i64) >> by) as u64, ((mask as i64) >> by) as u64, None)
            }
            _ => Scalar::of(value >> by, mask >> by, Some((min >> by, max >> by))),
        }
    }

    /// The result of an operation on 32 bits.
    pub fn alu32(operation: u8, a: Scalar, b: Scalar) -> Scalar {
        if let (Some(a), Some(b)) = (a.constant(), b.constant()) {
            return Scalar::known(alu32(operation, a, b));
        }
        let (a, b) = (a.low32(), b.low32());
        match operation {
            op::BPF_LSH | op::BPF_RSH | op::BPF_ARSH => match b.constant() {
                Some(_) if operation == op::BPF_ARSH && a.max > i32::MAX as u64 => Scalar::bytes(4),
                Some(by) => a.shifted(operation, by as u32 & 31).low32(),
                None => Scalar::bytes(4),
            },
            op::BPF_MUL | op::BPF_DIV | op::BPF_MOD => Scalar::bytes(4),
            _ => Scalar::alu64(operation, a, b).low32(),
        }
    }

    /// The result of `BPF_END`.
    pub fn endian(self, bits: i32, little: bool) -> Scalar {
        match self.constant() {
            Some(value) => Scalar::known(to_endian(value, bits, little)),
            None => Scalar::bytes(bits as usize / 8),
        }
    }

    /// Whether a comparison holds, if that is certain.
    pub fn decide(operation: u8, a: Scalar, b: Scalar, half: bool) -> Option<bool> {
        if let (Some(a), Some(b)) = (a.constant(), b.constant()) {
            return Some(if half {
                compare32(operation, a, b)
            } else {
                compare(operation, a, b)
            });
        }
        let (a, b, positive) = if half {
            (a.low32(), b.low32(), i32::MAX as u64)
        } else {
            (a, b, i64::MAX as u64)
        };
        let order = |less: bool, not: bool| match (less, not) {
            (true, _) => Some(true),
            (_, true) => Some(false),
            _ => None,
        };
        match operation {
            op::BPF_JEQ | op::BPF_JNE => {
                let differ = a.max < b.min || b.max < a.min || (a.value ^ b.value) & !a.mask & !b.mask != 0;
                differ.then_some(operation == op::BPF_JNE)
            }
            op::BPF_JSET => {
                let ones = a.value & b.value != 0;
                let zeros = (a.value | a.mask) & (b.value | b.mask) == 0;
                order(ones, zeros)
            }
            op::BPF_JGT => order(a.min > b.max, a.max <= b.min),
            op::BPF_JGE => order(a.min >= b.max, a.max < b.min),
            op::BPF_JLT => order(a.max < b.min, a.min >= b.max),
            op::BPF_JLE => order(a.max <= b.min, a.min > b.max),
            _ if a.max <= positive && b.max <= positive => Scalar::decide(unsigned(operation), a, b, false),
            _ => None,
        }
    }

    /// What is known after a comparison with `b` held or did not; `None` if that cannot be.
    pub fn after(self, operation: u8, b: Scalar, half: bool, held: bool) -> Option<Scalar> {
        let Some(b) = b.constant() else {
            return Some(self);
        };
        let b = if half { b & u64::from(u32::MAX) } else { b };
        if half && self.max > u64::from(u32::MAX) {
            return Some(self);
        }
        let positive = if half { i32::MAX as u64 } else { i64::MAX as u64 };
        let signed = matches!(
            operation,
            op::BPF_JSGT | op::BPF_JSGE | op::BPF_JSLT | op::BPF_JSLE
        );
        if signed && (self.max > positive || b > positive) {
            return Some(self);
        }
        let Scalar {
            value,
            mask,
            min,
            max,
        } = self;
        let at_least =
            |bound: Option<u64>| bound.and_then(|bound| Scalar::narrowed(value, mask, min.max(bound), max));
        let at_most =
            |bound: Option<u64>| bound.and_then(|bound| Scalar::narrowed(value, mask, min, max.min(bound)));
        match (unsigned(operation), held) {
            (op::BPF_JEQ, true) | (op::BPF_JNE, false) => self.may_be(b).then_some(Scalar::known(b)),
            (op::BPF_JEQ, false) | (op::BPF_JNE, true) if b == min => at_least(b.checked_add(1)),
            (op::BPF_JEQ, false) | (op::BPF_JNE, true) if b == max => at_most(b.checked_sub(1)),
            (op::BPF_JGT, true) | (op::BPF_JLE, false) => at_least(b.checked_add(1)),
            (op::BPF_JGE, true) | (op::BPF_JLT, false) => at_least(Some(b)),
            (op::BPF_JLT, true) | (op::BPF_JGE, false) => at_most(b.checked_sub(1)),
            (op::BPF_JLE, true) | (op::BPF_JGT, false) => at_most(Some(b)),
            (op::BPF_JSET, false) => Scalar::narrowed(value, mask & !b, min, max),
            _ => Some(self),
        }
    }
}

/// The comparison of unsigned numbers that a signed one is for numbers that are not negative.
fn unsigned(operation: u8) -> u8 {
    match operation {
        op::BPF_JSGT => op::BPF_JGT,
        op::BPF_JSGE => op::BPF_JGE,
        op::BPF_JSLT => op::BPF_JLT,
        op::BPF_JSLE => op::BPF_JLE,
        other => other,
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::bpf::tests::Random;

    pub const ALU: [u8; 13] = [
        op::BPF_ADD,
        op::BPF_SUB,
        op::BPF_MUL,
        op::BPF_DIV,
        op::BPF_OR,
        op::BPF_AND,
        op::BPF_LSH,
        op::BPF_RSH,
        op::BPF_NEG,
        op::BPF_MOD,
        op::BPF_XOR,
        op::BPF_MOV,
        op::BPF_ARSH,
    ];
    pub const JMP: [u8; 11] = [
        op::BPF_JEQ,
        op::BPF_JGT,
        op::BPF_JGE,
        op::BPF_JSET,
        op::BPF_JNE,
        op::BPF_JSGT,
        op::BPF_JSGE,
        op::BPF_JLT,
        op::BPF_JLE,
        op::BPF_JSLT,
        op::BPF_JSLE,
    ];

    fn interesting(random: &mut Random) -> u64 {
        let value = random.next_u64();
        match random.below(6) {
            0 => value & 7,
            1 => value & 0xffff_ffff,
            2 => (value as i8) as u64,
            3 => 1 << (value & 63),
            4 => (1u64 << (value & 63)).wrapping_sub(1),
            _ => value,
        }
    }

    /// A number and something that is known about it.
    fn pair(random: &mut Random) -> (u64, Scalar) {
        let value = interesting(random);
        let mask = match random.below(3) {
            0 => 0,
            1 => interesting(random),
            _ => u64::MAX,
        };
        let min = value.saturating_sub(interesting(random));
        let max = value.saturating_add(interesting(random));
        let scalar = Scalar::narrowed(value & !mask, mask, min, max).expect("the value is in it");
        assert!(scalar.may_be(value));
        (value, scalar)
    }

    #[test]
    fn what_is_known_stays_true() {
        let mut random = Random::new(7);
        for _ in 0..300_000 {
            let ((a, sa), (b, sb)) = (pair(&mut random), pair(&mut random));
            for operation in ALU {
                let (wide, half) = (Scalar::alu64(operation, sa, sb), Scalar::alu32(operation, sa, sb));
                assert!(
                    wide.may_be(alu64(operation, a, b)),
                    "{operation:#x} {sa:?} {sb:?} {wide:?} {a:#x} {b:#x}"
                );
                assert!(
                    half.may_be(alu32(operation, a, b)),
                    "{operation:#x} {sa:?} {sb:?} {half:?} {a:#x} {b:#x}"
                );
            }
            for operation in JMP {
                for half in [false, true] {
                    let holds = if half {
                        compare32(operation, a, b)
                    } else {
                        compare(operation, a, b)
                    };
                    let decided = Scalar::decide(operation, sa, sb, half);
                    assert!(decided.is_none_or(|decided| decided == holds));
                    let after = sa.after(operation, sb, half, holds);
                    assert!(
                        after.is_some_and(|after| after.may_be(a) && sa.covers(after)),
                        "{operation:#x} {half} {holds} {sa:?} {sb:?} {after:?} {a:#x} {b:#x}"
                    );
                }
            }
            for bits in [16, 32, 64] {
                assert!(sa.endian(bits, false).may_be(to_endian(a, bits, false)));
                assert!(sa.endian(bits, true).may_be(to_endian(a, bits, true)));
            }
        }
    }

    #[test]
    fn bounds_and_bits_help_each_other() {
        let word = Scalar::bytes(4);
        let small = word.after(op::BPF_JGT, Scalar::known(1), false, false).unwrap();
        assert_eq!((small.value, small.mask), (0, 1));
        assert_eq!(Scalar::alu64(op::BPF_AND, word, Scalar::known(1)).max, 1);
        assert_eq!(
            word.after(op::BPF_JEQ, Scalar::known(7), true, true),
            Some(Scalar::known(7))
        );
        assert_eq!(small.after(op::BPF_JEQ, Scalar::known(7), true, true), None);
    }
}
