//! Goes through a program on every path before it may run (`Documentation/bpf/verifier.rst`).
//!
//! Model: the code is first looked at as it stands ([`code`]): jumps stay inside, every instruction is reached by
//! some path, fields that mean nothing are zero. Then it is run on what is known of each register and stack slot
//! ([`state`]), both ways at each branch that is not certain. A state that a state seen before at the same place
//! covers, whose paths have all ended well, needs no second look; one that equals a state whose paths have not ended
//! is an endless loop.
//!
//! That every accepted run ends within as many steps as were taken here: a run follows the steps of the verification;
//! where one was not taken because of a finished state, the run goes on with that state's steps, which were all taken
//! before. So no step is met twice.
//!
//! Messages and errors are those of Linux where Linux has them.

mod code;
mod memory;
mod state;
mod step;

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::{self, Write};

use super::insn::Insn;
use super::{MAX_INSNS, ProgType};
use crate::bail;
use crate::error::{Error, Result};
use state::State;

/// Most branches that wait for their turn (`BPF_COMPLEXITY_LIMIT_JMP_SEQ`).
const MAX_PENDING: usize = 8192;
/// Most states kept for one instruction; more only cost time to compare.
const STATES_PER_INSN: usize = 16;
/// Most bytes of states kept at all.
const STATES_BYTES: usize = 4 << 20;
/// Steps between two looks at what else there is to do.
const POLL_STEPS: u32 = 1024;

/// What the verifier says, for whoever asked for it.
#[derive(Default)]
pub struct Log {
    /// Nothing is written if it is off.
    on: bool,
    text: String,
}

impl Log {
    /// A log that is written only if somebody will read it.
    pub fn new(on: bool) -> Log {
        Log {
            on,
            text: String::new(),
        }
    }
    /// What was said.
    pub fn text(&self) -> &str {
        &self.text
    }
    fn line(&mut self, args: fmt::Arguments<'_>) {
        if self.on {
            let _ = self.text.write_fmt(args);
            self.text.push('\n');
        }
    }
}

/// Says why, and answers with the error.
macro_rules! refuse {
    ($log:expr, $errno:ident, $($why:tt)*) => {{
        $log.line(format_args!($($why)*));
        $crate::bail!($errno, "bpf: the verifier refuses the program")
    }};
}
use refuse;

/// What was found out about an accepted program.
#[derive(Clone, Copy, Debug)]
pub struct Verified {
    /// Steps of the verification, and the most that a run takes.
    pub steps: u32,
}

/// A state at an instruction where paths meet.
struct Seen {
    state: State,
    parent: Option<usize>,
    /// Paths from here that have not ended.
    branches: u32,
}

/// A branch that waits for its turn.
struct Pending {
    at: usize,
    state: Box<State>,
    parent: Option<usize>,
}

/// What the verifier needs of whoever loads a program.
pub trait Loader {
    /// Called now and then; an error ends the work.
    fn poll(&mut self) -> Result<()>;
    /// What a descriptor is where a map is wanted, of which there are none: `EBADF` or `EINVAL`.
    fn not_a_map(&self, fd: i32) -> Error;
}

struct Verifier<'a> {
    insns: &'a [Insn],
    log: &'a mut Log,
    kind: ProgType,
    /// Whether addresses may be told (`CAP_PERFMON`). They are not; only messages differ.
    perfmon: bool,
    seen: Vec<Seen>,
    seen_at: BTreeMap<usize, Vec<usize>>,
    seen_bytes: usize,
    pending: Vec<Pending>,
    steps: u32,
    stack_depth: usize,
}

/// What follows a step.
enum Next {
    /// The instruction at this place.
    At(usize),
    /// Both; the second in the other state.
    Both(usize, usize, Box<State>),
    /// Nothing: the program has ended.
    End,
}

/// Verifies a program.
pub fn check(
    insns: &[Insn],
    (kind, perfmon): (ProgType, bool),
    log: &mut Log,
    loader: &mut dyn Loader,
) -> Result<Verified> {
    let mut verifier = Verifier {
        insns,
        log,
        kind,
        perfmon,
        seen: Vec::new(),
        seen_at: BTreeMap::new(),
        seen_bytes: 0,
        pending: Vec::new(),
        steps: 0,
        stack_depth: 0,
    };
    let result = code::check(insns, loader, verifier.log).and_then(|meets| verifier.walk(&meets, loader));
    verifier.summary();
    let steps = verifier.steps;
    result.map(|()| Verified { steps })
}

impl Verifier<'_> {
    fn summary(&mut self) {
        let most = self.seen_at.values().map(Vec::len).max().unwrap_or(0);
        let (steps, total) = (self.steps, self.seen.len());
        self.log.line(format_args!("stack depth {}", self.stack_depth));
        self.log.line(format_args!(
            "processed {steps} insns (limit {MAX_INSNS}) max_states_per_insn {most} total_states {total} peak_states {total} mark_read 0"
        ));
    }

    /// Walks all paths. `meets` tells where paths may meet.
    fn walk(&mut self, meets: &[bool], loader: &mut dyn Loader) -> Result<()> {
        let mut state = State::first();
        let mut at = 0;
        let mut parent = None;
        loop {
            if meets[at] {
                match self.meet(at, &state, parent)? {
                    Meeting::Covered => {
                        self.path_ends(parent);
                        match self.pending.pop() {
                            Some(next) => (at, state, parent) = (next.at, *next.state, next.parent),
                            None => return Ok(()),
                        }
                        continue;
                    }
                    Meeting::New(here) => parent = here,
                }
            }
            self.steps += 1;
            if self.steps > MAX_INSNS {
                let steps = self.steps;
                refuse!(
                    self.log,
                    E2BIG,
                    "BPF program is too large. Processed {steps} insn"
                );
            }
            if self.steps.is_multiple_of(POLL_STEPS) {
                loader.poll()?;
            }
            match self.step(at, &mut state)? {
                Next::At(next) => at = next,
                Next::Both(next, other, other_state) => {
                    if self.pending.len() >= MAX_PENDING {
                        refuse!(
                            self.log,
                            E2BIG,
                            "The sequence of {} jumps is too complex.",
                            self.pending.len() + 1
                        );
                    }
                    if self.pending.try_reserve(1).is_err() {
                        bail!(ENOMEM, "bpf: no memory for a branch");
                    }
                    self.pending.push(Pending {
                        at: other,
                        state: other_state,
                        parent,
                    });
                    if let Some(parent) = parent {
                        self.seen[parent].branches += 1;
                    }
                    at = next;
                }
                Next::End => {
                    self.path_ends(parent);
                    match self.pending.pop() {
                        Some(next) => (at, state, parent) = (next.at, *next.state, next.parent),
                        None => return Ok(()),
                    }
                }
            }
        }
    }

    /// Compares a state with those seen at the same place, and keeps it.
    fn meet(&mut self, at: usize, state: &State, parent: Option<usize>) -> Result<Meeting> {
        let here = self.seen_at.entry(at).or_default();
        for &seen in here.iter() {
            let seen = &self.seen[seen];
            if seen.branches == 0 && seen.state.covers(state) {
                return Ok(Meeting::Covered);
            }
            if seen.branches != 0 && seen.state.covers(state) && state.covers(&seen.state) {
                refuse!(self.log, EINVAL, "infinite loop detected at insn {at}");
            }
        }
        let bytes = size_of::<Seen>() + state.heap_bytes();
        if here.len() >= STATES_PER_INSN || self.seen_bytes + bytes > STATES_BYTES {
            return Ok(Meeting::New(parent));
        }
        if here.try_reserve(1).is_err() || self.seen.try_reserve(1).is_err() {
            bail!(ENOMEM, "bpf: no memory for a state");
        }
        self.seen_bytes += bytes;
        here.push(self.seen.len());
        self.seen.push(Seen {
            state: state.clone(),
            parent,
            branches: 1,
        });
        Ok(Meeting::New(Some(self.seen.len() - 1)))
    }

    /// A path has ended well: so have the states all of whose paths have.
    fn path_ends(&mut self, from: Option<usize>) {
        let mut at = from;
        while let Some(seen) = at {
            let seen = &mut self.seen[seen];
            seen.branches -= 1;
            if seen.branches != 0 {
                break;
            }
            at = seen.parent;
        }
    }
}

enum Meeting {
    /// Nothing new would be found.
    Covered,
    /// The state to which what follows belongs.
    New(Option<usize>),
}
