//! A filter and the chain that it ends.

use alloc::boxed::Box;
use alloc::sync::Arc;

use super::notify::Notification;
use super::{Answer, Data, Program};
use crate::ensure;
use crate::error::Result;
use crate::mm::memcg::KmemCharge;

/// Calls that the bitmap knows.
const CACHED_CALLS: usize = 512;
/// Most instructions that the filters of one task may have together (`MAX_INSNS_PER_PATH`).
const MAX_INSNS_PER_PATH: usize = (1 << 18) / 8;
/// What each filter of a chain but the newest counts besides its instructions.
const FILTER_PENALTY: usize = 4;

bitflags::bitflags! {
    /// `SECCOMP_FILTER_FLAG_*`.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    pub struct FilterFlags: u32 {
        /// All threads get the filter, or none.
        const TSYNC = 1 << 0;
        /// What the filter does is logged.
        const LOG = 1 << 1;
        /// No mitigation of speculative store bypass; there is none to leave out.
        const SPEC_ALLOW = 1 << 2;
        /// The call gives a descriptor to listen with.
        const NEW_LISTENER = 1 << 3;
        /// `ESRCH` instead of the thread that cannot be synchronised.
        const TSYNC_ESRCH = 1 << 4;
        /// Only fatal signals take back what a supervisor has received.
        const WAIT_KILLABLE_RECV = 1 << 5;
    }
}

/// One filter without its place in a chain. What a supervisor hears of its end is that of the last task
/// that has it.
pub struct FilterBody {
    /// What it runs.
    pub program: Program,
    /// How.
    pub flags: FilterFlags,
    /// Who listens.
    pub notification: Option<Arc<Notification>>,
    /// What it costs.
    pub charge: KmemCharge,
}

impl Drop for FilterBody {
    fn drop(&mut self) {
        if let Some(notification) = &self.notification {
            notification.filter_is_gone();
        }
    }
}

/// One filter, and those before it.
pub struct Filter {
    body: Arc<FilterBody>,
    before: Option<Arc<Filter>>,
    /// Filters of the chain.
    count: u32,
    /// Instructions of the chain, with the penalties of all.
    weight: usize,
    /// Someone in the chain listens.
    has_listener: bool,
    /// Calls that the whole chain allows whatever the arguments are.
    allowed: Box<[u64; CACHED_CALLS / 64]>,
}

impl Filter {
    /// The chain, grown by one; `ENOMEM` if it is too long then.
    pub(super) fn push(before: Option<Arc<Filter>>, body: Arc<FilterBody>) -> Result<Arc<Filter>> {
        let program = &body.program;
        let (count, weight) = before
            .as_ref()
            .map_or((0, 0), |before| (before.count, before.weight));
        ensure!(
            program.weight() + weight <= MAX_INSNS_PER_PATH,
            ENOMEM,
            "seccomp: too many instructions on a path"
        );
        let mut allowed = Box::new([0; CACHED_CALLS / 64]);
        for nr in 0..CACHED_CALLS {
            let bit = 1 << (nr % 64);
            let so_far = before
                .as_ref()
                .is_none_or(|before| before.allowed[nr / 64] & bit != 0);
            if so_far && program.allows_always(nr as u32) {
                allowed[nr / 64] |= bit;
            }
        }
        Ok(Arc::new(Filter {
            count: count + 1,
            weight: weight + program.weight() + FILTER_PENALTY,
            has_listener: body.notification.is_some()
                || before.as_ref().is_some_and(|before| before.has_listener),
            body,
            before,
            allowed,
        }))
    }

    /// What the filter is by itself.
    pub(super) fn body(&self) -> &FilterBody {
        &self.body
    }
    /// The `n`-th filter of the chain, counted from the oldest.
    pub(super) fn nth(self: &Arc<Filter>, n: u64) -> Option<Arc<FilterBody>> {
        let mut at = Some(self);
        while let Some(filter) = at {
            if u64::from(filter.count) == n.saturating_add(1) {
                return Some(filter.body.clone());
            }
            at = filter.before.as_ref();
        }
        None
    }
    /// How many filters there are with those before.
    pub fn count(&self) -> u32 {
        self.count
    }
    /// Whether one of the chain has, or had, a listener.
    pub(super) fn has_listener(&self) -> bool {
        self.has_listener
    }
    /// Whether the chain allows the call whatever its arguments are.
    #[inline]
    pub fn allows_always(&self, nr: u32) -> bool {
        let nr = nr as usize;
        nr < CACHED_CALLS && self.allowed[nr / 64] & 1 << (nr % 64) != 0
    }
    /// Whether `self` is `of` or one of those before it.
    pub(super) fn is_ancestor(self: &Arc<Filter>, of: Option<&Arc<Filter>>) -> bool {
        let mut at = of;
        while let Some(filter) = at {
            if Arc::ptr_eq(self, filter) {
                return true;
            }
            at = filter.before.as_ref();
        }
        false
    }

    /// The strictest answer of the chain, and who gave it. Among equals the newest counts.
    pub(super) fn run(self: &Arc<Filter>, data: &Data) -> (Answer, Option<&Arc<Filter>>) {
        let words = data.words();
        let mut strictest = (Answer::ALLOW, None);
        let mut at = Some(self);
        while let Some(filter) = at {
            let answer = filter.body.program.run(&words);
            if answer.severity() < strictest.0.severity() {
                strictest = (answer, Some(filter));
            }
            at = filter.before.as_ref();
        }
        strictest
    }
}

impl Drop for Filter {
    /// The filters before it, one after the other: a chain may be longer than the stack is deep.
    fn drop(&mut self) {
        let mut before = self.before.take();
        while let Some(filter) = before {
            before = Arc::into_inner(filter).and_then(|mut filter| filter.before.take());
        }
    }
}
