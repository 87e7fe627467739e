//! Several CPUs at once.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::sync::Arc;
use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use core::time::Duration;

use linux_object::hal::{AddressSpace, Hal, MachineThread, PageFlags, Pte, Trap, UserClock, UserRegs};
use linux_object::ids::{CpuId, UserAddr};

use super::user::{CODE, Program};
use super::{RECEIVER, Random, clear_space, jobs, memory as memory_tests, this_cpu};
use crate::arch::percpu;
use crate::sync::Lock;

const RW: PageFlags = PageFlags::READ.union(PageFlags::WRITE);

/// Every CPU waits for its kick in idle, then in user mode.
pub fn kick(hal: &dyn Hal) {
    static READY: AtomicUsize = AtomicUsize::new(0);
    READY.store(0, Relaxed);
    jobs::start(hal, |hal| {
        let kicks = || RECEIVER.kicks[this_cpu()].load(Relaxed);
        let before = kicks();
        READY.fetch_add(1, Relaxed);
        while kicks() == before {
            hal.idle();
        }
        let mut program = Program::new(hal, 0x10);
        let before = kicks();
        READY.fetch_add(1, Relaxed);
        while kicks() == before {
            assert_eq!(
                hal.run_user(&mut program.regs, &UserClock::default()),
                Trap::Interrupt
            );
        }
        program.end(hal);
    });
    let others = percpu::count() - 1;
    for stage in 1..=2 {
        while READY.load(Relaxed) < stage * others {
            hal.relax();
        }
        let until = hal.now() + Duration::from_millis(2);
        while hal.now() < until {}
        for cpu in 1..percpu::count() {
            hal.kick(CpuId(cpu as u32));
        }
    }
    jobs::join(hal);
}

type Shared = Arc<dyn MachineThread>;

static READY: Lock<VecDeque<Shared>> = Lock::new(VecDeque::new());
static CURRENT: [Lock<Option<Shared>>; 32] = [const { Lock::new(None) }; 32];
static IDLE: [Lock<Option<Shared>>; 32] = [const { Lock::new(None) }; 32];
static ENDED: Lock<VecDeque<Shared>> = Lock::new(VecDeque::new());
static LEFT: AtomicUsize = AtomicUsize::new(0);

/// The next thread for this CPU, and the one that runs.
fn choose() -> (Shared, Shared) {
    let cpu = this_cpu();
    let next = READY.lock().pop_front();
    let idle = || IDLE[cpu].lock().clone().expect("an idle thread");
    let next = next.unwrap_or_else(idle);
    let prev = CURRENT[cpu]
        .lock()
        .replace(next.clone())
        .expect("a running thread");
    (prev, next)
}

/// Puts the running thread into the shared queue and takes another. The thread is in the queue before it
/// has left its stack: the next CPU has to wait for it.
fn reschedule(hal: &dyn Hal) {
    let (prev, next) = choose();
    let idle = IDLE[this_cpu()].lock().clone();
    if !idle.is_some_and(|idle| Arc::ptr_eq(&prev, &idle)) {
        READY.lock().push_back(prev.clone());
    }
    if !Arc::ptr_eq(&prev, &next) {
        hal.switch(&prev, &next);
    }
}

/// Ends the running thread. Its last reference goes with `ENDED`, on another stack.
fn end() -> Shared {
    let (prev, next) = choose();
    ENDED.lock().push_back(prev);
    LEFT.fetch_sub(1, Relaxed);
    next
}

/// Threads hop between CPUs through one queue, with vector registers and stack contents.
pub fn migrate(hal: &dyn Hal) {
    const THREADS: usize = 12;
    static MOVES: AtomicUsize = AtomicUsize::new(0);
    MOVES.store(0, Relaxed);
    LEFT.store(THREADS, Relaxed);
    for i in 0..THREADS {
        let thread = hal.new_thread(Box::new(move || {
            let hal: &dyn Hal = &crate::hal::Machine;
            let me = CURRENT[this_cpu()].lock().clone().expect("this thread");
            me.reset_user_state();
            let mut program = Program::new(hal, 0xa0);
            me.reset_user_state();
            drop(me);
            let mut last = this_cpu();
            for round in 0..200u64 {
                let seed = i as u64 * 1000 + 5;
                program.regs.rdi = if round == 0 { seed } else { 0 };
                assert_eq!(program.run(hal), Trap::Syscall);
                assert!(
                    round == 0 || program.regs.rdi == seed,
                    "thread {i}: {:#x}",
                    program.regs.rdi
                );
                hal.activate(None);
                reschedule(hal);
                hal.activate(Some(&program.space));
                if this_cpu() != last {
                    MOVES.fetch_add(1, Relaxed);
                    last = this_cpu();
                }
            }
            program.end(hal);
            end()
        }));
        READY.lock().push_back(thread.expect("a thread"));
    }
    jobs::everywhere(hal, |hal| {
        let cpu = this_cpu();
        let boot = hal.boot_thread();
        *IDLE[cpu].lock() = Some(boot.clone());
        *CURRENT[cpu].lock() = Some(boot);
        while LEFT.load(Relaxed) > 0 {
            reschedule(hal);
            hal.relax();
        }
        *IDLE[cpu].lock() = None;
        *CURRENT[cpu].lock() = None;
    });
    let ended = core::mem::take(&mut *ENDED.lock());
    drop(ended);
    assert!(percpu::count() == 1 || MOVES.load(Relaxed) > 0);
}

/// The allocators under contention, with blocks freed by other CPUs than their own.
pub fn memory(hal: &dyn Hal) {
    static BASKET: Lock<VecDeque<Box<[u8]>>> = Lock::new(VecDeque::new());
    let before = hal.frame_stats();
    jobs::everywhere(hal, |hal| {
        memory_tests::stress(this_cpu() as u64 + 10, 5000);
        let mut random = Random::new(this_cpu() as u64 + 20);
        for _ in 0..3000 {
            let len = 1 + random.below(2500);
            BASKET.lock().push_back(alloc::vec![len as u8; len].into());
            let other = BASKET.lock().pop_front();
            if let Some(block) = other {
                assert!(block.iter().all(|&b| b == block.len() as u8));
            }
            let frame = hal.alloc_frame(false).expect("a frame");
            hal.get_frame(frame);
            hal.put_frame(frame);
            hal.put_frame(frame);
        }
    });
    BASKET.lock().clear();
    let after = hal.frame_stats();
    assert!(
        before.free.saturating_sub(after.free) < 64 * percpu::count() + 64,
        "{before:?} {after:?}"
    );
}

static SPACE: Lock<Option<Arc<dyn AddressSpace>>> = Lock::new(None);
static STARTED: AtomicUsize = AtomicUsize::new(0);
const PAGES: u64 = 8;
const AREA: u64 = 0x70_0000;

/// Other CPUs read pages in user mode, or spin in the kernel, while this one exchanges the pages.
/// After the flush no one may use the old page: it is filled with garbage at once, and readers
/// look for that.
pub fn shootdown(hal: &dyn Hal) {
    if percpu::count() == 1 {
        return;
    }
    let mut program = Program::new(hal, 0);
    for i in 0..PAGES {
        let frame = hal.alloc_frame(true).expect("a frame");
        program
            .space
            .map(UserAddr(AREA + i * 4096), Pte { frame, flags: RW })
            .expect("a table");
    }
    *SPACE.lock() = Some(program.space.clone());
    STARTED.store(0, Relaxed);
    jobs::start(hal, |hal| {
        let space = SPACE.lock().clone().expect("a space");
        hal.boot_thread().reset_user_state();
        hal.activate(Some(&space));
        STARTED.fetch_add(1, Relaxed);
        let mut regs = UserRegs {
            rip: CODE + 0x120,
            rflags: 0x202,
            rdi: AREA,
            rsi: AREA + PAGES * 4096,
            ..UserRegs::default()
        };
        while !jobs::STOP.load(Relaxed) {
            if this_cpu() % 2 == 1 {
                let trap = hal.run_user(&mut regs, &UserClock::default());
                assert_eq!(trap, Trap::Interrupt);
                assert_eq!(regs.rax, 0, "a page was used after its flush");
            } else {
                let mut word = [0; 8];
                let at = UserAddr(AREA + (hal.now().0 % PAGES) * 4096);
                hal.copy_from_user(&mut word, at).expect("user memory");
                assert_eq!(word, [0; 8], "a page was used after its flush");
                hal.relax();
            }
        }
        hal.activate(None);
    });
    while STARTED.load(Relaxed) < percpu::count() - 1 {
        hal.relax();
    }
    let mut random = Random::new(9);
    // A round takes long when the CPUs are more than the emulator has threads' worth of processors.
    let until = hal.now() + Duration::from_secs(2);
    for _ in 0..2000 {
        if hal.now() > until {
            break;
        }
        let at = UserAddr(AREA + (random.below(PAGES as usize) as u64) * 4096);
        let frame = hal.alloc_frame(true).expect("a frame");
        let old = program
            .space
            .map(at, Pte { frame, flags: RW })
            .expect("a table")
            .expect("a page");
        program.space.flush(at..at.offset(4096));
        hal.write_frame(old.frame, 0, &[0xff; 8]);
        hal.put_frame(old.frame);
    }
    jobs::STOP.store(true, Relaxed);
    for cpu in 1..percpu::count() {
        hal.kick(CpuId(cpu as u32));
    }
    jobs::join(hal);
    *SPACE.lock() = None;
    program.regs.rip = CODE;
    program.end(hal);
}

/// Every CPU flushes a shared space, all at once, with interrupts off all the time.
pub fn crossing(hal: &dyn Hal) {
    let space = hal.new_address_space().expect("a space");
    *SPACE.lock() = Some(space.clone());
    STARTED.store(0, Relaxed);
    jobs::everywhere(hal, |hal| {
        let space = SPACE.lock().clone().expect("a space");
        hal.activate(Some(&space));
        STARTED.fetch_add(1, Relaxed);
        while STARTED.load(Relaxed) < percpu::count() {
            hal.relax();
        }
        let base = 0x1000_0000 * (this_cpu() as u64 + 1);
        let until = hal.now() + Duration::from_secs(2);
        for i in 0..300u64 {
            if hal.now() > until {
                break;
            }
            space.flush(UserAddr(base)..UserAddr(base + (i % 40) * 4096));
        }
        STARTED.fetch_add(1, Relaxed);
        while STARTED.load(Relaxed) < 2 * percpu::count() {
            hal.relax();
        }
        hal.activate(None);
    });
    *SPACE.lock() = None;
    clear_space(hal, &*space);
}

/// Panics on the last CPU, with a library's lock held, while the others spin with interrupts off.
pub fn panic(hal: &dyn Hal) {
    static LOCK: linux_object::sync::SpinLock<(), linux_object::sync::class::Mm> =
        linux_object::sync::SpinLock::new(());
    jobs::everywhere(hal, |hal| {
        if this_cpu() == percpu::count() - 1 {
            let _guard = LOCK.lock();
            panic!("asked for");
        }
        while !jobs::STOP.load(Relaxed) {
            hal.relax();
        }
    });
}
