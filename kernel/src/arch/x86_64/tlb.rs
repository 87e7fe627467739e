//! TLB shootdown.
//!
//! Model: each CPU has a mailbox with a slot per sender. A sender fills its slot in each target's
//! mailbox, sends an interrupt to wake those that are in user mode or idle, and waits until every
//! slot is empty again, serving its own mailbox meanwhile. A CPU in kernel mode has interrupts off
//! and serves its mailbox in every spinning loop ([`super::relax`]) and before it takes
//! interrupts again.
//!
//! So nobody waits for a CPU that waits for us: whoever spins, serves. Whoever does not
//! spin gets to user mode, idle or a spinning loop.

use core::ops::Range;
use core::sync::atomic::{
    AtomicBool, AtomicU64, Ordering::Acquire, Ordering::Relaxed, Ordering::Release, Ordering::SeqCst,
};

use x86_64::VirtAddr;
use x86_64::instructions::tlb;
use x86_64::registers::control::{Cr3, Cr4, Cr4Flags};

use super::percpu::{self, MAX_CPUS};
use super::{apic, interrupts};

/// Stands for all user addresses.
pub const ALL_USER: Range<u64> = 0..u64::MAX;
/// Stands for everything, the kernel's addresses too.
pub const ALL_KERNEL: Range<u64> = 1..u64::MAX;

struct Slot {
    start: AtomicU64,
    end: AtomicU64,
    busy: AtomicBool,
}

/// Requests to one CPU.
pub struct Mailbox {
    /// Senders with a new request.
    pending: AtomicU64,
    slots: [Slot; MAX_CPUS],
}

impl Mailbox {
    /// An empty mailbox.
    pub const fn new() -> Mailbox {
        Mailbox {
            pending: AtomicU64::new(0),
            slots: [const {
                Slot {
                    start: AtomicU64::new(0),
                    end: AtomicU64::new(0),
                    busy: AtomicBool::new(false),
                }
            }; MAX_CPUS],
        }
    }
}

/// Flushes a range on this CPU.
pub fn flush_local(range: &Range<u64>) {
    if *range == ALL_USER {
        let (frame, flags) = Cr3::read_raw();
        // SAFETY: the value that is there.
        unsafe { Cr3::write_raw(frame, flags) };
    } else if *range == ALL_KERNEL {
        flush_global();
    } else {
        let mut at = range.start;
        while at < range.end {
            tlb::flush(VirtAddr::new_truncate(at));
            at += 4096;
        }
    }
}

/// Flushes everything on this CPU, the kernel's global entries too.
fn flush_global() {
    let cr4 = Cr4::read();
    // SAFETY: toggling PGE has no other effect than the flush.
    unsafe {
        Cr4::write(cr4 - Cr4Flags::PAGE_GLOBAL);
        Cr4::write(cr4);
    }
}

/// Serves the requests to this CPU.
#[inline]
pub fn serve() {
    let cpu = percpu::this();
    if cpu.mailbox.pending.load(Relaxed) != 0 {
        serve_pending(&cpu.mailbox);
    }
}

#[cold]
#[inline(never)]
fn serve_pending(mailbox: &Mailbox) {
    let mut senders = mailbox.pending.swap(0, SeqCst);
    while senders != 0 {
        let slot = &mailbox.slots[senders.trailing_zeros() as usize];
        senders &= senders - 1;
        flush_local(&(slot.start.load(Relaxed)..slot.end.load(Relaxed)));
        slot.busy.store(false, Release);
    }
}

/// Makes other CPUs flush a range, and waits until they have.
pub fn shoot(cpus: u64, range: &Range<u64>) {
    let me = percpu::this().id.get() as usize;
    let each = |f: &dyn Fn(&percpu::PerCpu, &Slot)| {
        let mut left = cpus;
        while left != 0 {
            let cpu = percpu::of(left.trailing_zeros() as usize);
            left &= left - 1;
            f(cpu, &cpu.mailbox.slots[me]);
        }
    };
    each(&|cpu, slot| {
        slot.start.store(range.start, Relaxed);
        slot.end.store(range.end, Relaxed);
        slot.busy.store(true, Relaxed);
        // Others' requests that are still pending have an interrupt on its way.
        if cpu.mailbox.pending.fetch_or(1 << me, SeqCst) == 0 {
            apic::send(cpu.apic_id.get(), interrupts::SHOOTDOWN);
        }
    });
    each(&|_, slot| {
        while slot.busy.load(Acquire) {
            super::relax();
        }
    });
}

/// Flushes a range of kernel addresses on all CPUs.
pub fn flush_kernel(range: &Range<u64>) {
    core::sync::atomic::fence(SeqCst);
    flush_local(range);
    let me = 1 << percpu::this().id.get();
    let others = (u64::MAX >> (64 - percpu::count())) & !me;
    if others != 0 {
        shoot(others, range);
    }
}
