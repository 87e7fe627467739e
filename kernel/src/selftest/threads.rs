//! Threads on one CPU: a round-robin scheduler of a few lines.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use linux_object::hal::{Hal, MachineThread};

use crate::sync::Lock;

struct Scheduler {
    current: Option<Arc<dyn MachineThread>>,
    ready: VecDeque<Arc<dyn MachineThread>>,
    ended: Vec<Arc<dyn MachineThread>>,
}

static SCHEDULER: Lock<Scheduler> = Lock::new(Scheduler {
    current: None,
    ready: VecDeque::new(),
    ended: Vec::new(),
});
static LEFT: AtomicUsize = AtomicUsize::new(0);

/// The running thread.
pub fn current() -> Arc<dyn MachineThread> {
    SCHEDULER.lock().current.clone().expect("a running thread")
}

/// Lets the next thread run.
pub fn take_turn(hal: &dyn Hal) {
    let (prev, next) = {
        let mut s = SCHEDULER.lock();
        let Some(next) = s.ready.pop_front() else {
            return;
        };
        let prev = s.current.replace(next.clone()).expect("a running thread");
        s.ready.push_back(prev.clone());
        (prev, next)
    };
    hal.activate(None);
    hal.switch(&prev, &next);
}

/// Ends the running thread; the next one runs.
fn end() -> Arc<dyn MachineThread> {
    LEFT.fetch_sub(1, Relaxed);
    let mut s = SCHEDULER.lock();
    let next = s.ready.pop_front().expect("the boot thread");
    let prev = s.current.replace(next.clone()).expect("a running thread");
    s.ended.push(prev);
    next
}

/// Runs `count` threads of `body` to their end.
pub fn run(hal: &dyn Hal, count: usize, body: impl Fn(usize) + Send + Sync + Copy + 'static) {
    {
        let mut s = SCHEDULER.lock();
        s.current = Some(hal.boot_thread());
        LEFT.store(count, Relaxed);
    }
    for i in 0..count {
        let thread = hal
            .new_thread(Box::new(move || {
                body(i);
                end()
            }))
            .expect("a thread");
        SCHEDULER.lock().ready.push_back(thread);
    }
    while LEFT.load(Relaxed) > 0 {
        take_turn(hal);
        let ended = core::mem::take(&mut SCHEDULER.lock().ended);
        drop(ended);
    }
    let mut s = SCHEDULER.lock();
    assert!(s.ready.is_empty());
    let ended = core::mem::take(&mut s.ended);
    s.current = None;
    drop(s);
    drop(ended);
}

/// Threads that count, with something on their stacks.
pub fn ping_pong(hal: &dyn Hal) {
    static SUM: AtomicUsize = AtomicUsize::new(0);
    SUM.store(0, Relaxed);
    run(hal, 20, |i| {
        let hal: &dyn Hal = &crate::hal::Machine;
        let mut stack = [i; 200];
        for round in 0..100 {
            stack[(round * 7) % 200] += 1;
            take_turn(hal);
        }
        assert_eq!(stack.iter().sum::<usize>(), 200 * i + 100);
        SUM.fetch_add(i, Relaxed);
    });
    assert_eq!(SUM.load(Relaxed), 190);
}

/// Many threads at once; afterwards most stacks are frames again.
pub fn stacks(hal: &dyn Hal) {
    let per_stack = crate::mm::kstack::SIZE / 4096;
    run(hal, 10, |_| ());
    let before = hal.frame_stats();
    for _ in 0..3 {
        run(hal, 300, |_| take_turn(&crate::hal::Machine));
    }
    let after = hal.frame_stats();
    assert!(after.kernel_stacks <= 80 * per_stack, "{after:?}");
    let lost = before.free.saturating_sub(after.free);
    let grown =
        after.kernel_stacks.saturating_sub(before.kernel_stacks) + after.heap.saturating_sub(before.heap);
    assert!(lost <= grown + 64, "{before:?} {after:?}");
}

/// A thread waits in a known function.
pub fn backtrace(hal: &dyn Hal) {
    #[inline(never)]
    fn inner() {
        take_turn(&crate::hal::Machine);
    }
    static FOUND: AtomicUsize = AtomicUsize::new(0);
    run(hal, 2, |i| {
        if i == 0 {
            inner();
        } else {
            let other = SCHEDULER
                .lock()
                .ready
                .iter()
                .last()
                .cloned()
                .expect("the first thread");
            let mut frames = [0; 16];
            let n = other.backtrace(&mut frames);
            FOUND.store(n, Relaxed);
            for &rip in &frames[..n] {
                if let Some((name, offset)) = crate::symbols::lookup(rip) {
                    crate::kprintln!("#   {name}+{offset:#x}");
                }
            }
        }
    });
    assert!(FOUND.load(Relaxed) >= 4, "{} frames", FOUND.load(Relaxed));
}

/// Runs over the end of a stack.
pub fn overflow(hal: &dyn Hal) {
    #[inline(never)]
    fn deeper(n: u64) -> u64 {
        let block = core::hint::black_box([n; 40]);
        if n == u64::MAX {
            0
        } else {
            deeper(n + 1) + block[(n % 40) as usize]
        }
    }
    run(hal, 1, |_| {
        core::hint::black_box(deeper(0));
    });
}
