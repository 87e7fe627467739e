//! System calls: fast user-space locking (`futex(2)`, `futex_waitv(2)`, `set_robust_list(2)`).
//!
//! The operations with priority inheritance are in [`super::futex_pi`].

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::Ordering;

use linux_object::error::Result;
use linux_object::fs::procfs::access::{PtraceMode, ptrace_may_access};
use linux_object::futex::{FutexKey, FutexWaiter};
use linux_object::ids::{PidNr, USER_END, UserAddr};
use linux_object::time::Ktime;
use linux_object::{bail, ensure, err};

use super::futex_pi;
use crate::abi::{FutexWaitv, RobustListHead, Timespec};
use crate::clock::{Clock, Until, after, wait_for};
use crate::context::Cx;
use crate::restart;
use crate::user_ptr::{UserInPtr, UserOutPtr};
use crate::wait_until::WaitError;

const FUTEX_WAIT: u32 = 0;
const FUTEX_WAKE: u32 = 1;
const FUTEX_REQUEUE: u32 = 3;
const FUTEX_CMP_REQUEUE: u32 = 4;
const FUTEX_WAKE_OP: u32 = 5;
const FUTEX_LOCK_PI: u32 = 6;
const FUTEX_UNLOCK_PI: u32 = 7;
const FUTEX_TRYLOCK_PI: u32 = 8;
const FUTEX_WAIT_BITSET: u32 = 9;
const FUTEX_WAKE_BITSET: u32 = 10;
const FUTEX_WAIT_REQUEUE_PI: u32 = 11;
const FUTEX_CMP_REQUEUE_PI: u32 = 12;
const FUTEX_LOCK_PI2: u32 = 13;
const FUTEX_PRIVATE_FLAG: u32 = 128;
const FUTEX_CLOCK_REALTIME: u32 = 256;
const MATCH_ANY: u32 = u32::MAX;

/// Names the word at `addr` (Linux's `get_futex_key`).
pub(super) fn key(cx: &Cx<'_>, addr: UserAddr, shared: bool) -> Result<FutexKey> {
    ensure!(addr.0.is_multiple_of(4), EINVAL, "futex: not aligned");
    ensure!(addr.0 <= USER_END - 4, EFAULT, "futex: not a user address");
    let mm = cx.task.mm();
    if !shared {
        return Ok(FutexKey::private(mm.id(), addr.0));
    }
    Ok(match mm.futex_key(addr)? {
        Some((object, offset)) => FutexKey::shared(object, offset),
        None => FutexKey::unshared(mm.id(), addr.0),
    })
}

/// `futex(2)`.
pub fn futex(
    cx: &mut Cx<'_>,
    uaddr: UserAddr,
    op: u32,
    val: u32,
    timeout: u64,
    uaddr2: UserAddr,
    val3: u32,
) -> Result<usize> {
    let command = op & !(FUTEX_PRIVATE_FLAG | FUTEX_CLOCK_REALTIME);
    let shared = op & FUTEX_PRIVATE_FLAG == 0;
    let realtime = op & FUTEX_CLOCK_REALTIME != 0;
    let until = read_timeout(cx, command, realtime, timeout)?;
    ensure!(
        !realtime
            || matches!(
                command,
                FUTEX_WAIT_BITSET | FUTEX_WAIT_REQUEUE_PI | FUTEX_LOCK_PI2
            ),
        ENOSYS,
        "futex: FUTEX_CLOCK_REALTIME is for waits with a bit set"
    );
    // Linux wakes one also when asked for none.
    let nr_wake = (val as i32).max(1) as usize;
    let val2 = timeout as u32;
    match command {
        FUTEX_WAIT => wait(cx, uaddr, shared, val, until, MATCH_ANY),
        FUTEX_WAIT_BITSET => wait(cx, uaddr, shared, val, until, val3),
        FUTEX_WAKE => wake(cx, uaddr, shared, nr_wake, MATCH_ANY),
        FUTEX_WAKE_BITSET => wake(cx, uaddr, shared, nr_wake, val3),
        FUTEX_REQUEUE => requeue(cx, (uaddr, uaddr2), shared, val, val2, None),
        FUTEX_CMP_REQUEUE => requeue(cx, (uaddr, uaddr2), shared, val, val2, Some(val3)),
        FUTEX_WAKE_OP => wake_op(cx, (uaddr, uaddr2), shared, nr_wake, val2, val3),
        FUTEX_LOCK_PI | FUTEX_LOCK_PI2 => futex_pi::lock(cx, uaddr, shared, until),
        FUTEX_UNLOCK_PI => futex_pi::unlock(cx, uaddr, shared),
        FUTEX_TRYLOCK_PI => futex_pi::try_lock(cx, uaddr, shared),
        FUTEX_WAIT_REQUEUE_PI => futex_pi::wait_requeue(cx, (uaddr, uaddr2), shared, val, until),
        FUTEX_CMP_REQUEUE_PI => futex_pi::requeue(cx, (uaddr, uaddr2), shared, val, val2, val3),
        _ => bail!(ENOSYS, "futex: no such operation"),
    }
}

/// The time-out of the operations that have one: relative for `FUTEX_WAIT`, else absolute.
fn read_timeout(cx: &Cx<'_>, command: u32, realtime: bool, addr: u64) -> Result<Option<Until>> {
    let has_timeout = matches!(
        command,
        FUTEX_WAIT | FUTEX_LOCK_PI | FUTEX_LOCK_PI2 | FUTEX_WAIT_BITSET | FUTEX_WAIT_REQUEUE_PI
    );
    if !has_timeout || addr == 0 {
        return Ok(None);
    }
    let nanos = UserInPtr::<Timespec>::new(UserAddr(addr)).read(cx)?.nanos()?;
    Ok(Some(if command == FUTEX_WAIT {
        Until::Monotonic(after(cx, nanos))
    } else if realtime || command == FUTEX_LOCK_PI {
        Until::Realtime(nanos)
    } else {
        let host = nanos.saturating_sub(Clock::Monotonic.offset(cx)).max(0);
        Until::Monotonic(Ktime(host as u64))
    }))
}

fn wait(
    cx: &mut Cx<'_>,
    addr: UserAddr,
    shared: bool,
    val: u32,
    until: Option<Until>,
    bitset: u32,
) -> Result<usize> {
    ensure!(bitset != 0, EINVAL, "futex: an empty bit set");
    let key = key(cx, addr, shared)?;
    let futexes = &cx.kernel.futexes;
    let waiter = FutexWaiter::new(cx.task.clone(), bitset);
    // Enqueued first, then looked at: a waker that changed the word finds us, or we see its change.
    futexes.enqueue(key, &waiter);
    let unequal = match cx.hal().load_user_u32(addr) {
        Ok(now) if now == val => None,
        Ok(_) => Some(err!(EAGAIN, "futex: the word has another value")),
        Err(error) => Some(error),
    };
    if let Some(error) = unequal {
        // Whoever woke us meanwhile counts on it.
        return if futexes.cancel(&waiter) {
            Err(error)
        } else {
            Ok(0)
        };
    }
    let never = Until::Monotonic(Ktime::MAX);
    let woken = || waiter.is_woken().then_some(());
    let Err(why) = wait_for(cx, until.unwrap_or(never), woken) else {
        return Ok(0);
    };
    if !futexes.cancel(&waiter) {
        return Ok(0);
    }
    match (why, until) {
        (WaitError::TimedOut, _) => bail!(ETIMEDOUT),
        (WaitError::Interrupted, None) => bail!(ERESTARTSYS),
        (WaitError::Interrupted, Some(_)) => Err(restart::later(cx, move |cx| {
            wait(cx, addr, shared, val, until, bitset)
        })),
    }
}

/// Most words in one `futex_waitv(2)`.
const FUTEX_WAITV_MAX: u32 = 128;
/// `FUTEX_32`: the word has 32 bits, as all have.
const FUTEX_32: u32 = 2;

/// One word of several that a task waits for.
struct WaitedFor {
    key: FutexKey,
    addr: UserAddr,
    val: u32,
    waiter: Arc<FutexWaiter>,
}

/// `futex_waitv(2)`: waits for any of several words. Returns the place of one that woke the task.
pub fn futex_waitv(
    cx: &mut Cx<'_>,
    waiters: UserInPtr<FutexWaitv>,
    nr_futexes: u32,
    flags: u32,
    timeout: UserInPtr<Timespec>,
    clockid: i32,
) -> Result<usize> {
    ensure!(flags == 0, EINVAL, "futex_waitv: there are no flags");
    ensure!(
        (1..=FUTEX_WAITV_MAX).contains(&nr_futexes) && !waiters.is_null(),
        EINVAL,
        "futex_waitv: 1 to 128 words"
    );
    let until = if timeout.is_null() {
        None
    } else {
        let realtime = match clockid {
            0 => true,
            1 => false,
            _ => bail!(EINVAL, "futex_waitv: neither CLOCK_REALTIME nor CLOCK_MONOTONIC"),
        };
        read_timeout(cx, FUTEX_WAIT_BITSET, realtime, timeout.addr().0)?
    };
    let mut words = Vec::new();
    words
        .try_reserve_exact(nr_futexes as usize)
        .map_err(|_| err!(ENOMEM))?;
    for given in waiters.read_vec(cx, nr_futexes as usize)? {
        ensure!(
            given.flags & !(FUTEX_32 | FUTEX_PRIVATE_FLAG) == 0
                && given.flags & FUTEX_32 != 0
                && given.reserved == 0,
            EINVAL,
            "futex_waitv: flags of a word"
        );
        words.push(given);
    }
    let mut waited: Vec<WaitedFor> = Vec::new();
    waited.try_reserve_exact(words.len()).map_err(|_| err!(ENOMEM))?;
    for given in words {
        let addr = UserAddr(given.uaddr);
        waited.push(WaitedFor {
            key: key(cx, addr, given.flags & FUTEX_PRIVATE_FLAG == 0)?,
            addr,
            val: given.val as u32,
            waiter: FutexWaiter::new(cx.task.clone(), MATCH_ANY),
        });
    }
    wait_multiple(cx, &waited, until)
}

/// Takes all words back; the place of the last of them that was woken.
fn cancel_all(cx: &Cx<'_>, waited: &[WaitedFor]) -> Option<usize> {
    let futexes = &cx.kernel.futexes;
    let mut woken = None;
    for (at, word) in waited.iter().enumerate() {
        if !futexes.cancel(&word.waiter) {
            woken = Some(at);
        }
    }
    woken
}

fn wait_multiple(cx: &Cx<'_>, waited: &[WaitedFor], until: Option<Until>) -> Result<usize> {
    for (at, word) in waited.iter().enumerate() {
        cx.kernel.futexes.enqueue(word.key, &word.waiter);
        let error = match cx.hal().load_user_u32(word.addr) {
            Ok(now) if now == word.val => continue,
            Ok(_) => err!(EAGAIN, "futex_waitv: a word has another value"),
            Err(error) => error,
        };
        // The word that differs was not waited for; whoever woke another meanwhile counts on it.
        cx.kernel.futexes.cancel(&word.waiter);
        return cancel_all(cx, &waited[..at]).ok_or(error);
    }
    let never = Until::Monotonic(Ktime::MAX);
    let woken = || waited.iter().any(|word| word.waiter.is_woken()).then_some(());
    let result = wait_for(cx, until.unwrap_or(never), woken);
    match (cancel_all(cx, waited), result) {
        (Some(at), _) => Ok(at),
        (None, Err(WaitError::TimedOut)) => bail!(ETIMEDOUT),
        (None, _) => bail!(ERESTARTSYS),
    }
}

fn wake(cx: &Cx<'_>, addr: UserAddr, shared: bool, nr: usize, bitset: u32) -> Result<usize> {
    ensure!(bitset != 0, EINVAL, "futex: an empty bit set");
    let key = key(cx, addr, shared)?;
    cx.kernel.futexes.wake(key, nr, bitset)
}

fn requeue(
    cx: &Cx<'_>,
    (from, to): (UserAddr, UserAddr),
    shared: bool,
    nr_wake: u32,
    nr_move: u32,
    expected: Option<u32>,
) -> Result<usize> {
    ensure!(
        nr_wake as i32 >= 0 && nr_move as i32 >= 0,
        EINVAL,
        "futex: negative count"
    );
    let from_key = key(cx, from, shared)?;
    let to_key = key(cx, to, shared)?;
    let futexes = &cx.kernel.futexes;
    loop {
        let arrivals = match expected {
            None => None,
            Some(expected) => {
                let arrivals = futexes.arrivals(from_key);
                let now = cx.hal().load_user_u32(from)?;
                ensure!(now == expected, EAGAIN, "futex: the word has another value");
                Some(arrivals)
            }
        };
        let done = futexes.requeue(from_key, to_key, nr_wake as usize, nr_move as usize, arrivals)?;
        if let Some((woken, moved)) = done {
            return Ok(woken + moved);
        }
    }
}

/// What `FUTEX_WAKE_OP` does with the second word: an operation and a comparison, packed.
struct WakeOp {
    op: u32,
    arg: i32,
    cmp: u32,
    cmp_arg: i32,
}

impl WakeOp {
    fn decode(raw: u32) -> WakeOp {
        let signed = |bits: u32| (bits << 20) as i32 >> 20;
        let arg = signed(raw >> 12 & 0xfff);
        let shift = raw & 0x8000_0000 != 0;
        WakeOp {
            op: raw >> 28 & 7,
            arg: if shift { 1i32 << (arg & 31) } else { arg },
            cmp: raw >> 24 & 15,
            cmp_arg: signed(raw & 0xfff),
        }
    }
    fn apply(&self, old: u32) -> Result<u32> {
        let arg = self.arg as u32;
        Ok(match self.op {
            0 => arg,
            1 => old.wrapping_add(arg),
            2 => old | arg,
            3 => old & !arg,
            4 => old ^ arg,
            _ => bail!(ENOSYS, "futex: no such operation on the word"),
        })
    }
    fn compare(&self, old: u32) -> Result<bool> {
        let old = old as i32;
        Ok(match self.cmp {
            0 => old == self.cmp_arg,
            1 => old != self.cmp_arg,
            2 => old < self.cmp_arg,
            3 => old <= self.cmp_arg,
            4 => old > self.cmp_arg,
            5 => old >= self.cmp_arg,
            _ => bail!(ENOSYS, "futex: no such comparison"),
        })
    }
}

fn wake_op(
    cx: &Cx<'_>,
    (first, second): (UserAddr, UserAddr),
    shared: bool,
    nr_wake: usize,
    nr_wake2: u32,
    raw: u32,
) -> Result<usize> {
    let first_key = key(cx, first, shared)?;
    let second_key = key(cx, second, shared)?;
    let op = WakeOp::decode(raw);
    let mut old = cx.hal().load_user_u32(second)?;
    loop {
        let seen = cx.hal().cmpxchg_user_u32(second, old, op.apply(old)?)?;
        if seen == old {
            break;
        }
        old = seen;
    }
    let wake_second = op.compare(old)?;
    let futexes = &cx.kernel.futexes;
    let mut woken = futexes.wake(first_key, nr_wake, MATCH_ANY)?;
    if wake_second {
        let nr = (nr_wake2 as i32).max(1) as usize;
        woken += futexes.wake(second_key, nr, MATCH_ANY)?;
    }
    Ok(woken)
}

/// Wakes up to `nr` waiters of the word at `addr`, as `FUTEX_WAKE` does: for `clear_child_tid`.
pub fn wake_user(cx: &Cx<'_>, addr: UserAddr, nr: usize) {
    let _ = wake(cx, addr, true, nr, MATCH_ANY);
}

/// `set_robust_list(2)`.
pub fn set_robust_list(cx: &mut Cx<'_>, head: UserAddr, len: usize) -> Result<usize> {
    ensure!(
        len == size_of::<RobustListHead>(),
        EINVAL,
        "not the size of the list's head"
    );
    cx.task.robust_list.store(head.0, Ordering::Relaxed);
    Ok(0)
}

/// `get_robust_list(2)`.
pub fn get_robust_list(
    cx: &mut Cx<'_>,
    pid: i32,
    head_ptr: UserOutPtr<u64>,
    len_ptr: UserOutPtr<usize>,
) -> Result<usize> {
    let task = match pid {
        0 => cx.task.clone(),
        _ => match cx.kernel.tasks.find_task(cx.task.pid_ns(), PidNr(pid)) {
            Some(task) => task,
            None => bail!(ESRCH, "no such thread"),
        },
    };
    ptrace_may_access(cx.task, &task, PtraceMode::READ_REALCREDS)?;
    len_ptr.write(cx, &size_of::<RobustListHead>())?;
    head_ptr.write(cx, &task.robust_list.load(Ordering::Relaxed))?;
    Ok(0)
}

pub(super) const FUTEX_WAITERS: u32 = 0x8000_0000;
pub(super) const FUTEX_OWNER_DIED: u32 = 0x4000_0000;
pub(super) const FUTEX_TID_MASK: u32 = 0x3fff_ffff;
/// A longer list is a loop.
const ROBUST_LIST_LIMIT: usize = 2048;

/// Marks the futexes that the exiting thread holds as orphaned, and wakes one waiter of each
/// (Linux's `exit_robust_list`); those with inheritance get their next owners. `ends`: the thread ends,
/// it does not become another program. Called before the address space is given up.
pub fn exit_robust_list(cx: &Cx<'_>, ends: bool) {
    let head = cx.task.robust_list.swap(0, Ordering::Relaxed);
    if head != 0 {
        // Faults end the walk, as in Linux.
        let _ = walk_robust_list(cx, UserAddr(head));
    }
    futex_pi::exit(cx, ends);
}

fn walk_robust_list(cx: &Cx<'_>, head_addr: UserAddr) -> Result<()> {
    let head = UserInPtr::<RobustListHead>::new(head_addr).read(cx)?;
    // The lowest bit of a link tells a priority-inheritance futex.
    let word = |link: u64| {
        (
            UserAddr((link & !1).wrapping_add(head.futex_offset as u64)),
            link & 1 != 0,
        )
    };
    let mut link = head.list;
    for _ in 0..ROBUST_LIST_LIMIT {
        if link & !1 == head_addr.0 {
            break;
        }
        let next = UserInPtr::<u64>::new(UserAddr(link & !1)).read(cx);
        if link & !1 != head.list_op_pending & !1 {
            let (addr, pi) = word(link);
            futex_death(cx, addr, pi, false)?;
        }
        link = next?;
    }
    if head.list_op_pending & !1 != 0 {
        let (addr, pi) = word(head.list_op_pending);
        futex_death(cx, addr, pi, true)?;
    }
    Ok(())
}

fn futex_death(cx: &Cx<'_>, addr: UserAddr, pi: bool, pending: bool) -> Result<()> {
    ensure!(addr.0.is_multiple_of(4), EINVAL, "futex: not aligned");
    let mut value = cx.hal().load_user_u32(addr)?;
    loop {
        let owner = value & FUTEX_TID_MASK;
        if pending && !pi && owner == 0 {
            // It was unlocked, but the wake-up did not happen any more.
            wake_user(cx, addr, 1);
            return Ok(());
        }
        if owner != cx.task.tid().0 as u32 {
            return Ok(());
        }
        let died = value & FUTEX_WAITERS | FUTEX_OWNER_DIED;
        let seen = cx.hal().cmpxchg_user_u32(addr, value, died)?;
        if seen == value {
            break;
        }
        value = seen;
    }
    if !pi && value & FUTEX_WAITERS != 0 {
        wake_user(cx, addr, 1);
    }
    Ok(())
}
