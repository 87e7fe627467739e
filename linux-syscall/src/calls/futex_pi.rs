//! Futexes with priority inheritance (`futex(2)`): the protocol of the user's word.
//!
//! The word is 0, or its owner's thread id in the pid namespace of those who use it, with
//! `FUTEX_WAITERS` when the kernel has to be asked to unlock and `FUTEX_OWNER_DIED` when an owner ended
//! without unlocking. Who owns and waits is in [`linux_object::futex::pi`]; the kernel changes the word
//! only with that graph locked, user space takes or leaves a futex that nobody waits for without asking.
//! A compare-and-exchange that fails tells of it, and all begins anew.
//!
//! Waiting for a lock is restarted after any signal, and the time-outs are absolute.

use alloc::sync::Arc;

use linux_object::error::Result;
use linux_object::futex::FutexKey;
use linux_object::futex::PiGraph;
use linux_object::futex::pi::Refusal;
use linux_object::ids::{PidNr, UserAddr};
use linux_object::sched::StateMask;
use linux_object::task::Task;
use linux_object::time::Ktime;
use linux_object::{bail, ensure};

use super::futex::{FUTEX_OWNER_DIED, FUTEX_TID_MASK, FUTEX_WAITERS, key};
use crate::clock::{Until, wait_for};
use crate::context::Cx;
use crate::wait_until::WaitError;

/// Futexes that an owner's end hands over before others get the graph.
const EXIT_BATCH: usize = 16;
const NEVER: Until = Until::Monotonic(Ktime::MAX);

/// What came of the attempt to get a futex for a task.
enum Taken {
    /// It owns it, and the word says so.
    Owned,
    /// This task owns it; the word has `FUTEX_WAITERS`.
    By(Arc<Task>),
}

/// The word changed meanwhile: look again.
struct Again;

type Graph = PiGraph<Arc<Task>>;

fn tid_in(cx: &Cx<'_>, task: &Task) -> u32 {
    task.tid_in(cx.task.pid_ns()).0 as u32
}

fn wake(task: &Arc<Task>) {
    task.kernel().sched.wake_up(task, StateMask::NORMAL);
}

/// Why a task could not be made to wait. An owner that has ended since the word was looked at has left
/// the word to others, or else the next look finds it dead.
fn refused(refusal: Refusal) -> Result<Again> {
    match refusal {
        Refusal::Ended => Ok(Again),
        Refusal::Deadlock => bail!(EDEADLK, "futex: its owner waits for the waiter"),
    }
}

/// The thread that a word names, looked up before the graph is locked.
fn named(cx: &Cx<'_>, word: u32) -> Option<Arc<Task>> {
    match word & FUTEX_TID_MASK {
        0 => None,
        tid => cx.kernel.tasks.find_task(cx.task.pid_ns(), PidNr(tid as i32)),
    }
}

/// Gets the futex for `task` if it is free, else finds its owner (Linux's `futex_lock_pi_atomic`).
/// `candidate` is whom the word named when it was `seen`.
fn take(
    cx: &Cx<'_>,
    graph: &Graph,
    (addr, key): (UserAddr, FutexKey),
    task: &Arc<Task>,
    waiters_follow: bool,
    (seen, candidate): (u32, &Option<Arc<Task>>),
) -> Result<Result<Taken, Again>> {
    let word = cx.hal().load_user_u32(addr)?;
    if word != seen {
        return Ok(Err(Again));
    }
    let tid = tid_in(cx, task);
    let owner_tid = word & FUTEX_TID_MASK;
    ensure!(owner_tid != tid, EDEADLK, "futex: the caller owns it");
    ensure!(
        !cx.kernel.futexes.has_waiter(key) && !graph.has_parked(key),
        EINVAL,
        "futex: somebody waits for it without inheritance"
    );
    if let Some(owner) = graph.owner(key) {
        // A robust futex of a dead owner names nobody until the next one has written its name.
        let unnamed = word & FUTEX_OWNER_DIED != 0 && owner_tid == 0;
        ensure!(
            unnamed || !owner.stale && owner_tid == tid_in(cx, &owner.task),
            EINVAL,
            "futex: the word and the kernel name different owners"
        );
        return Ok(Ok(Taken::By(owner.task)));
    }
    if owner_tid == 0 {
        let waiters = if waiters_follow { FUTEX_WAITERS } else { 0 };
        let new = word & FUTEX_OWNER_DIED | tid | waiters;
        return Ok(match cx.hal().cmpxchg_user_u32(addr, word, new)? {
            now if now == word => Ok(Taken::Owned),
            _ => Err(Again),
        });
    }
    let waited_for = word | FUTEX_WAITERS;
    if cx.hal().cmpxchg_user_u32(addr, word, waited_for)? != word {
        return Ok(Err(Again));
    }
    if let Some(owner) = candidate
        && !owner.pi.has_ended()
    {
        return Ok(Ok(Taken::By(owner.clone())));
    }
    // It may have left its robust futex to others just before it ended.
    ensure!(
        cx.hal().load_user_u32(addr)? != waited_for,
        ESRCH,
        "futex: its owner does not exist"
    );
    Ok(Err(Again))
}

/// Looks at the word and whom it names, locks the graph, and goes on with both.
fn locked<'a, T>(
    cx: &Cx<'a>,
    addr: UserAddr,
    mut step: impl FnMut(&mut Graph, (u32, &Option<Arc<Task>>)) -> Result<Result<T, Again>>,
) -> Result<T> {
    loop {
        let seen = cx.hal().load_user_u32(addr)?;
        let candidate = named(cx, seen);
        let mut graph = cx.kernel.pi_futexes.lock();
        let result = step(&mut graph, (seen, &candidate));
        drop(graph);
        if let Ok(done) = result? {
            return Ok(done);
        }
        ensure!(!cx.task.fatal_signal_pending(), ERESTARTNOINTR);
    }
}

/// `FUTEX_LOCK_PI`, `FUTEX_LOCK_PI2`.
pub(super) fn lock(cx: &mut Cx<'_>, addr: UserAddr, shared: bool, until: Option<Until>) -> Result<usize> {
    let key = key(cx, addr, shared)?;
    let task = cx.task;
    let owned = locked(cx, addr, |graph, seen| {
        match take(cx, graph, (addr, key), task, false, seen)? {
            Err(again) => Ok(Err(again)),
            Ok(Taken::Owned) => Ok(Ok(true)),
            Ok(Taken::By(owner)) => match graph.wait(key, &owner, task) {
                Ok(()) => Ok(Ok(false)),
                Err(refusal) => refused(refusal).map(Err),
            },
        }
    })?;
    if owned {
        return Ok(0);
    }
    match sleep(cx, addr, key, until)? {
        None => Ok(0),
        Some(WaitError::TimedOut) => bail!(ETIMEDOUT),
        Some(WaitError::Interrupted) => bail!(ERESTARTNOINTR),
    }
}

/// Waits to be given the futex. Returns why it was not.
fn sleep(cx: &Cx<'_>, addr: UserAddr, key: FutexKey, until: Option<Until>) -> Result<Option<WaitError>> {
    let task = cx.task;
    let given = || (!cx.kernel.pi_futexes.lock().is_blocked(task)).then_some(());
    let slept = wait_for(cx, until.unwrap_or(NEVER), given);
    let mut graph = cx.kernel.pi_futexes.lock();
    if let Err(why) = slept
        && graph.give_up(task)
    {
        return Ok(Some(why));
    }
    let written = settle(cx, &mut graph, addr, key);
    drop(graph);
    written?;
    Ok(None)
}

/// The caller has been given the futex: its word, if a dead owner left it, gets its new name. If
/// that is impossible, the next waiter is given the futex.
fn settle(cx: &Cx<'_>, graph: &mut Graph, addr: UserAddr, key: FutexKey) -> Result<()> {
    if graph.stale_of(cx.task) != Some(key) {
        return Ok(());
    }
    let new = FUTEX_WAITERS | FUTEX_OWNER_DIED | tid_in(cx, cx.task);
    let written = (|| {
        let mut word = cx.hal().load_user_u32(addr)?;
        loop {
            match cx.hal().cmpxchg_user_u32(addr, word, new)? {
                now if now == word => return Ok(()),
                now => word = now,
            }
        }
    })();
    match &written {
        Ok(()) => graph.settle(cx.task),
        Err(_) => graph.abandon(cx.task).iter().for_each(wake),
    }
    written
}

/// `FUTEX_TRYLOCK_PI`.
pub(super) fn try_lock(cx: &Cx<'_>, addr: UserAddr, shared: bool) -> Result<usize> {
    let key = key(cx, addr, shared)?;
    locked(cx, addr, |graph, seen| {
        match take(cx, graph, (addr, key), cx.task, false, seen)? {
            Err(again) => Ok(Err(again)),
            Ok(Taken::Owned) => Ok(Ok(0)),
            Ok(Taken::By(_)) => bail!(EAGAIN, "futex: it is owned"),
        }
    })
}

/// `FUTEX_UNLOCK_PI`.
pub(super) fn unlock(cx: &Cx<'_>, addr: UserAddr, shared: bool) -> Result<usize> {
    let tid = tid_in(cx, cx.task);
    loop {
        let word = cx.hal().load_user_u32(addr)?;
        ensure!(
            word & FUTEX_TID_MASK == tid,
            EPERM,
            "futex: the caller does not own it"
        );
        let key = key(cx, addr, shared)?;
        let mut graph = cx.kernel.pi_futexes.lock();
        let (owner, next) = (graph.owner(key), graph.next_owner(key));
        ensure!(
            owner
                .as_ref()
                .is_none_or(|owner| Arc::ptr_eq(&owner.task, cx.task))
                && !graph.has_parked(key)
                && (owner.is_some() || !cx.kernel.futexes.has_waiter(key)),
            EINVAL,
            "futex: the kernel does not know the caller as its owner"
        );
        let new = next.as_ref().map_or(0, |next| FUTEX_WAITERS | tid_in(cx, next));
        if cx.hal().cmpxchg_user_u32(addr, word, new)? == word {
            let woken = graph.hand_over(key);
            drop(graph);
            woken.iter().for_each(wake);
            return Ok(0);
        }
        drop(graph);
        ensure!(!cx.task.fatal_signal_pending(), ERESTARTNOINTR);
    }
}

/// `FUTEX_WAIT_REQUEUE_PI`: waits at `from` to be moved to `to`, and for that.
pub(super) fn wait_requeue(
    cx: &mut Cx<'_>,
    (from, to): (UserAddr, UserAddr),
    shared: bool,
    val: u32,
    until: Option<Until>,
) -> Result<usize> {
    ensure!(from != to, EINVAL, "futex: moved to where it waits");
    let target = key(cx, to, shared)?;
    let source = key(cx, from, shared)?;
    let now = cx.hal().load_user_u32(from)?;
    let task = cx.task;
    {
        let mut graph = cx.kernel.pi_futexes.lock();
        ensure!(
            now == val && cx.hal().load_user_u32(from)? == val,
            EAGAIN,
            "futex: the word has another value"
        );
        ensure!(source != target, EINVAL, "futex: both words are one");
        if graph.park(source, target, task).is_err() {
            bail!(ESRCH, "futex: the caller ends");
        }
    }
    let given = || (!cx.kernel.pi_futexes.lock().is_blocked(task)).then_some(());
    let slept = wait_for(cx, until.unwrap_or(NEVER), given);
    let mut graph = cx.kernel.pi_futexes.lock();
    let parked = graph.is_parked(task);
    if let Err(why) = slept
        && graph.give_up(task)
    {
        match why {
            WaitError::TimedOut => bail!(ETIMEDOUT),
            WaitError::Interrupted if parked => bail!(ERESTARTNOINTR),
            // Restarted, it would find the first word changed.
            WaitError::Interrupted => bail!(EAGAIN, "futex: a signal after it was moved"),
        }
    }
    settle(cx, &mut graph, to, target)?;
    Ok(0)
}

/// `FUTEX_CMP_REQUEUE_PI`: gives the futex at `to` to the first task parked at `from` if it is free, and
/// lets others wait for it. Returns how many left `from`.
pub(super) fn requeue(
    cx: &Cx<'_>,
    (from, to): (UserAddr, UserAddr),
    shared: bool,
    nr_wake: u32,
    nr_move: u32,
    expected: u32,
) -> Result<usize> {
    ensure!(
        nr_wake as i32 >= 0 && nr_move as i32 >= 0,
        EINVAL,
        "futex: negative count"
    );
    ensure!(from != to, EINVAL, "futex: moved to where they wait");
    // More could not own it.
    ensure!(nr_wake == 1, EINVAL, "futex: one is woken");
    let source = key(cx, from, shared)?;
    let target = key(cx, to, shared)?;
    ensure!(source != target, EINVAL, "futex: both words are one");
    let most = nr_move as usize + 1;
    cx.hal().load_user_u32(from)?;
    locked(cx, to, |graph, seen| {
        let now = cx.hal().load_user_u32(from)?;
        ensure!(now == expected, EAGAIN, "futex: the word has another value");
        ensure!(
            !cx.kernel.futexes.has_waiter(source) && graph.owner(source).is_none(),
            EINVAL,
            "futex: somebody waits in another way"
        );
        let Some((first, wanted)) = graph.first_parked(source) else {
            return Ok(Ok(0));
        };
        ensure!(wanted == target, EINVAL, "futex: it waits to be moved elsewhere");
        let mut moved = 0;
        let owner = match take(cx, graph, (to, target), &first, nr_move > 0, seen)? {
            Err(again) => return Ok(Err(again)),
            Ok(Taken::By(owner)) => owner,
            Ok(Taken::Owned) => {
                graph.unpark(&first);
                wake(&first);
                moved = 1;
                first
            }
        };
        while moved < most {
            let Some((next, wanted)) = graph.first_parked(source) else {
                break;
            };
            ensure!(wanted == target, EINVAL, "futex: it waits to be moved elsewhere");
            if let Err(refusal) = graph.wait(target, &owner, &next) {
                // Only the owner that the word names may have ended, before anybody moved.
                return refused(refusal).map(Err);
            }
            graph.unpark(&next);
            moved += 1;
        }
        Ok(Ok(moved))
    })
}

/// The caller ends, or becomes another program: others get the futexes that it owns.
pub(super) fn exit(cx: &Cx<'_>, ends: bool) {
    let pi = &cx.task.pi;
    let mut owns = if ends { pi.end() } else { pi.is_member() };
    while owns {
        let woken = cx.kernel.pi_futexes.lock().exit(cx.task, EXIT_BATCH);
        woken.iter().for_each(wake);
        owns = pi.is_member();
    }
}
