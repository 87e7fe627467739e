//! What is known at a point of a path.

use alloc::vec::Vec;

use super::super::STACK_SIZE;
use super::super::scalar::Scalar;

/// What a register holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Reg {
    /// Nothing was written to it.
    Nothing,
    Scalar(Scalar),
    /// The address of the context and a constant.
    Context(i64),
    /// The end of the stack (R10) and a constant.
    Stack(i64),
}

impl Reg {
    pub fn is_pointer(self) -> bool {
        matches!(self, Reg::Context(_) | Reg::Stack(_))
    }
    /// Its name in messages.
    pub fn kind(self) -> &'static str {
        match self {
            Reg::Nothing => "?",
            Reg::Scalar(_) => "scalar",
            Reg::Context(_) => "ctx",
            Reg::Stack(_) => "fp",
        }
    }
    fn covers(self, other: Reg) -> bool {
        match (self, other) {
            (Reg::Nothing, _) => true,
            (Reg::Scalar(this), Reg::Scalar(other)) => this.covers(other),
            (this, other) => this == other,
        }
    }
}

/// Eight bytes of the stack.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Slot {
    /// Which bytes were written.
    Bytes(u8),
    /// A whole register was stored.
    Spill(Reg),
}

impl Slot {
    pub const EMPTY: Slot = Slot::Bytes(0);

    fn covers(self, other: Slot) -> bool {
        match (self, other) {
            (Slot::Bytes(0), _) => true,
            (Slot::Bytes(this), Slot::Bytes(other)) => this & !other == 0,
            (Slot::Bytes(_), Slot::Spill(other)) => !other.is_pointer(),
            (Slot::Spill(this), Slot::Spill(other)) => this.covers(other),
            (Slot::Spill(_), Slot::Bytes(_)) => false,
        }
    }
}

/// The registers and the stack.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct State {
    /// R0 to R10.
    pub regs: [Reg; 11],
    /// The stack as far as it was written, downwards from its end.
    pub slots: Vec<Slot>,
}

impl State {
    /// Where a program begins.
    pub fn first() -> State {
        let mut regs = [Reg::Nothing; 11];
        regs[1] = Reg::Context(0);
        regs[10] = Reg::Stack(0);
        State {
            regs,
            slots: Vec::new(),
        }
    }
    /// Whether whatever is possible in `other` is possible in this.
    pub fn covers(&self, other: &State) -> bool {
        let slot = |state: &State, at: usize| state.slots.get(at).copied().unwrap_or(Slot::EMPTY);
        self.regs
            .iter()
            .zip(&other.regs)
            .all(|(this, other)| this.covers(*other))
            && (0..self.slots.len()).all(|at| slot(self, at).covers(slot(other, at)))
    }
    pub fn heap_bytes(&self) -> usize {
        self.slots.len() * size_of::<Slot>()
    }
    /// The slot at an offset below the end of the stack, made if need be. The caller has checked the offset.
    pub fn slot_mut(&mut self, offset: i64) -> &mut Slot {
        let at = slot_index(offset);
        if at >= self.slots.len() {
            self.slots.resize(at + 1, Slot::EMPTY);
        }
        &mut self.slots[at]
    }
    pub fn slot(&self, offset: i64) -> Option<Slot> {
        self.slots.get(slot_index(offset)).copied()
    }
}

/// The slot of an offset from -1 to -512.
fn slot_index(offset: i64) -> usize {
    debug_assert!((-(STACK_SIZE as i64)..0).contains(&offset));
    ((-offset - 1) / 8) as usize
}

/// The bytes of a slot that an access of `size` at `offset` touches. Both are aligned to `size`.
pub(super) fn bytes_of(offset: i64, size: usize) -> u8 {
    let first = offset.rem_euclid(8) as u32;
    let all = if size == 8 { 0xff } else { (1u8 << size) - 1 };
    all << first
}
