//! The scheduler, timers and futexes under thousands of interleavings, with kernel threads alone.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering::SeqCst};

use super::run;
use crate::cred::Cred;
use crate::fs::PollEvents;
use crate::futex::{FutexKey, FutexWaiter};
use crate::ids::CpuId;
use crate::kernel::Kernel;
use crate::sched::{CpuMask, SchedParams, SchedTask, Scheduler};
use crate::sync::{SpinLock, WaitEntry, WaitQueue, class};
use crate::task::clone::spawn_process;
use crate::task::signal::{AltStack, TaskSignals};
use crate::task::{SignalSet, Task, TaskInit, TaskParts, TaskState};
use crate::time::Ktime;

/// Seeds per scenario: `ZCELL_SEEDS`, or a number that takes a second or so.
fn seeds() -> u64 {
    let wanted = std::env::var("ZCELL_SEEDS").ok();
    wanted.and_then(|n| n.parse().ok()).unwrap_or(150)
}

fn parts(kernel: &Arc<Kernel>) -> TaskParts {
    TaskParts {
        cred: Arc::new(Cred::root(kernel.init_user_ns.clone())),
        nsproxy: None,
        fs: None,
        files: None,
        mm: None,
        comm: *b"kthread\0\0\0\0\0\0\0\0\0",
    }
}

type Body = Box<dyn FnOnce(&Arc<Task>) + Send>;

/// Another task in the process of `init`.
fn spawn(init: &Arc<Task>, body: impl FnOnce(&Arc<Task>) + Send + 'static) -> Arc<Task> {
    let kernel = init.kernel();
    let body: Body = Box::new(body);
    let task = Task::new(
        kernel,
        TaskInit {
            pid: init.pid().clone(),
            group: init.group().clone(),
            css_set: init.css_set(),
            sched: SchedTask::fork(&init.sched),
            thread: Scheduler::new_thread(kernel, body).unwrap(),
            parts: parts(kernel),
            signals: TaskSignals::new(SignalSet::EMPTY, AltStack::NONE),
            charge: Default::default(),
        },
    );
    kernel.sched.start(&task);
    task
}

/// Runs `body` as the first task; the machine goes off when it returns.
fn boot(seed: u64, nr_cpus: usize, body: impl FnOnce(&Arc<Task>) + Send + 'static) {
    run(seed, nr_cpus, move |kernel| {
        let body: Body = Box::new(move |task| {
            body(task);
            task.kernel().hal.power_off();
        });
        let thread = Scheduler::new_thread(kernel, body).unwrap();
        let task = spawn_process(kernel, thread, parts(kernel)).unwrap();
        kernel.sched.start(&task);
    });
}

fn each_seed(scenario: impl Fn(u64, usize)) {
    for seed in 0..seeds() {
        scenario(seed, 1 + (seed % 4) as usize);
    }
}

/// What `wait_until` of the system-call layer does.
fn wait(task: &Arc<Task>, queue: &WaitQueue, mut cond: impl FnMut() -> bool) {
    let key = Arc::as_ptr(task) as usize;
    queue.enqueue(WaitEntry {
        waiter: task.clone(),
        events: PollEvents::IN,
        exclusive: false,
        key,
    });
    loop {
        task.sched.set_state(TaskState::Interruptible);
        if cond() {
            break;
        }
        task.kernel().sched.schedule();
    }
    task.sched.set_state(TaskState::Running);
    queue.dequeue(key);
}

/// Counts down; the waiter is told at 0.
#[derive(Default)]
struct Latch {
    left: AtomicU32,
    queue: WaitQueue,
}

impl Latch {
    fn new(count: u32) -> Arc<Latch> {
        Arc::new(Latch {
            left: AtomicU32::new(count),
            queue: WaitQueue::new(),
        })
    }
    fn done(&self) {
        self.left.fetch_sub(1, SeqCst);
        self.queue.wake_all(PollEvents::IN);
    }
    fn wait(&self, task: &Arc<Task>) {
        wait(task, &self.queue, || self.left.load(SeqCst) == 0);
    }
}

#[test]
fn wake_ups_are_not_lost() {
    each_seed(|seed, nr_cpus| {
        boot(seed, nr_cpus, |init| {
            // A token goes round a ring of tasks, each waiting for its turn.
            const TASKS: u64 = 4;
            let token = Arc::new((AtomicU64::new(0), WaitQueue::new()));
            let latch = Latch::new(TASKS as u32);
            for me in 0..TASKS {
                let (token, latch) = (token.clone(), latch.clone());
                spawn(init, move |task| {
                    for _ in 0..10 {
                        wait(task, &token.1, || token.0.load(SeqCst) % TASKS == me);
                        token.0.fetch_add(1, SeqCst);
                        token.1.wake_all(PollEvents::IN);
                    }
                    latch.done();
                });
            }
            latch.wait(init);
            assert_eq!(token.0.load(SeqCst), 10 * TASKS);
        });
    });
}

#[test]
fn sleeps_end_in_time() {
    each_seed(|seed, nr_cpus| {
        boot(seed, nr_cpus, move |init| {
            let latch = Latch::new(5);
            for n in 0..5 {
                let latch = latch.clone();
                spawn(init, move |task| {
                    let kernel = task.kernel();
                    for round in 1..6 {
                        let deadline = Ktime(kernel.hal.now().0 + (n * 7919 + seed * round) % 50_000);
                        let id = kernel.timers.add(deadline, task.clone());
                        loop {
                            task.sched.set_state(TaskState::Interruptible);
                            if kernel.hal.now() >= deadline {
                                break;
                            }
                            kernel.sched.schedule();
                        }
                        task.sched.set_state(TaskState::Running);
                        kernel.timers.cancel(id);
                        assert!(kernel.hal.now().0 - deadline.0 < 20_000_000);
                    }
                    latch.done();
                });
            }
            latch.wait(init);
            assert_eq!(init.kernel().timers.nr(), 0);
        });
    });
}

fn futex_wait(task: &Arc<Task>, key: FutexKey, word: &AtomicU32, value: u32) {
    let futexes = &task.kernel().futexes;
    let waiter = FutexWaiter::new(task.clone(), u32::MAX);
    futexes.enqueue(key, &waiter);
    if word.load(SeqCst) != value {
        futexes.cancel(&waiter);
        return;
    }
    loop {
        task.sched.set_state(TaskState::Interruptible);
        if waiter.is_woken() {
            break;
        }
        task.kernel().sched.schedule();
    }
    task.sched.set_state(TaskState::Running);
    assert!(!futexes.cancel(&waiter));
}

#[test]
fn futexes_make_a_mutex() {
    each_seed(|seed, nr_cpus| {
        boot(seed, nr_cpus, |init| {
            let word = Arc::new(AtomicU32::new(0));
            let inside = Arc::new(AtomicU32::new(0));
            let count = Arc::new(AtomicU32::new(0));
            let latch = Latch::new(4);
            for _ in 0..4 {
                let (word, inside, count, latch) =
                    (word.clone(), inside.clone(), count.clone(), latch.clone());
                spawn(init, move |task| {
                    let key = FutexKey::private(1, 0x1000);
                    let yield_here = SpinLock::<(), class::Leaf>::new(());
                    for _ in 0..8 {
                        // Drepper's second mutex: 0 free, 1 held, 2 held with waiters.
                        let mut seen = word.compare_exchange(0, 1, SeqCst, SeqCst).unwrap_or_else(|v| v);
                        while seen != 0 {
                            if seen == 2 || word.compare_exchange(1, 2, SeqCst, SeqCst) != Err(0) {
                                futex_wait(task, key, &word, 2);
                            }
                            seen = word.compare_exchange(0, 2, SeqCst, SeqCst).unwrap_or_else(|v| v);
                        }
                        assert_eq!(inside.fetch_add(1, SeqCst), 0, "mutual exclusion");
                        drop(yield_here.lock());
                        task.kernel().sched.yield_now();
                        inside.fetch_sub(1, SeqCst);
                        count.fetch_add(1, SeqCst);
                        if word.swap(0, SeqCst) == 2 {
                            task.kernel().futexes.wake(key, 1, u32::MAX).unwrap();
                        }
                    }
                    latch.done();
                });
            }
            latch.wait(init);
            assert_eq!(count.load(SeqCst), 32);
            assert_eq!(init.kernel().futexes.nr_waiters(), 0);
        });
    });
}

#[test]
fn requeued_waiters_are_all_woken() {
    each_seed(|seed, nr_cpus| {
        boot(seed, nr_cpus, |init| {
            let (from, to) = (FutexKey::private(1, 0x1000), FutexKey::private(1, 0x2004));
            let word = Arc::new(AtomicU32::new(0));
            let latch = Latch::new(5);
            for _ in 0..5 {
                let (word, latch) = (word.clone(), latch.clone());
                spawn(init, move |task| {
                    futex_wait(task, from, &word, 0);
                    latch.done();
                });
            }
            let futexes = &init.kernel().futexes;
            init.kernel().sched.yield_now();
            let first = futexes.requeue(from, to, 1, 2, None).unwrap().unwrap();
            assert!(first.0 <= 1 && first.1 <= 2);
            word.store(1, SeqCst);
            futexes.wake(from, usize::MAX, u32::MAX).unwrap();
            futexes.wake(to, usize::MAX, u32::MAX).unwrap();
            latch.wait(init);
        });
    });
}

/// Keeps its CPU busy for this much of its own time, taking interrupts as user code does.
fn burn(task: &Arc<Task>, nanos: u64) {
    let kernel = task.kernel();
    let until = kernel.sched.cpu_times(task).total() + nanos;
    while kernel.sched.cpu_times(task).total() < until {
        kernel.sched.cond_resched(task);
    }
}

#[test]
fn busy_tasks_share_by_weight() {
    for seed in 0..8 {
        boot(seed, 1, |init| {
            let latch = Latch::new(1);
            let mut tasks = Vec::new();
            for nice in [0, 5] {
                let latch = latch.clone();
                let task = spawn(init, move |task| {
                    burn(task, if nice == 0 { 60_000_000 } else { u64::MAX / 2 });
                    latch.done();
                });
                init.kernel().sched.set_params(
                    &task,
                    SchedParams {
                        nice,
                        ..SchedParams::default()
                    },
                );
                tasks.push(task);
            }
            latch.wait(init);
            let used: Vec<_> = tasks
                .iter()
                .map(|task| init.kernel().sched.cpu_times(task).total())
                .collect();
            // 1024 : 335.
            let ratio = used[0] as f64 / used[1] as f64;
            assert!((2.6..3.6).contains(&ratio), "{used:?}");
        });
    }
}

#[test]
fn affinity_is_obeyed_and_idle_cpus_pull() {
    each_seed(|seed, _| {
        boot(seed, 3, |init| {
            let latch = Latch::new(6);
            for n in 0..6 {
                let latch = latch.clone();
                spawn(init, move |task| {
                    let sched = &task.kernel().sched;
                    for round in 0..4 {
                        let cpu = CpuId((n + round) % 3);
                        sched.set_affinity(task, CpuMask::of(cpu));
                        if sched.current_cpu() != cpu {
                            sched.schedule();
                        }
                        assert_eq!(sched.current_cpu(), cpu);
                        sched.set_affinity(task, CpuMask::ALL);
                        sched.yield_now();
                    }
                    latch.done();
                });
            }
            latch.wait(init);
        });
    });
}

#[test]
fn the_same_seed_is_the_same_run() {
    let trace = |seed| {
        let ticks = Arc::new(AtomicU64::new(0));
        let seen = ticks.clone();
        boot(seed, 3, move |init| {
            let latch = Latch::new(3);
            for n in 0..3 {
                let (latch, seen) = (latch.clone(), seen.clone());
                spawn(init, move |task| {
                    for _ in 0..5 {
                        task.kernel().sched.yield_now();
                        let mix = seen.load(SeqCst).wrapping_mul(31) + n + task.kernel().hal.now().0;
                        seen.store(mix, SeqCst);
                    }
                    latch.done();
                });
            }
            latch.wait(init);
        });
        ticks.load(SeqCst)
    };
    for seed in 0..20 {
        assert_eq!(trace(seed), trace(seed), "seed {seed}");
    }
    assert_ne!(trace(1), trace(2));
}
