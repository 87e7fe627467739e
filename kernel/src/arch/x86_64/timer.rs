//! This CPU's one-shot timer.
//!
//! The deadline is kept in the CPU's state. An interrupt before it (the counter is too short for
//! a far deadline, or a deadline was moved) rearms the timer and is not reported.

use linux_object::time::Ktime;

use super::{apic, features, percpu, tsc};
use crate::upcall;

/// Sets the deadline, or switches the timer off.
pub fn set(deadline: Option<Ktime>) {
    let cpu = percpu::this();
    let new = deadline.map_or(u64::MAX, |d| d.0);
    if cpu.timer_deadline.replace(new) != new {
        program(new);
    }
}

fn program(deadline: u64) {
    let tsc_deadline = features::get().tsc_deadline;
    if deadline == u64::MAX {
        if tsc_deadline {
            apic::set_timer_deadline(0);
        } else {
            apic::set_timer_count(0);
        }
    } else if tsc_deadline {
        apic::set_timer_deadline(tsc::at(Ktime(deadline)).max(1));
    } else {
        let left = deadline.saturating_sub(tsc::now().0);
        apic::set_timer_count(tsc::apic_ticks(left));
    }
}

/// The timer's interrupt.
pub fn interrupt() {
    let cpu = percpu::this();
    let deadline = cpu.timer_deadline.get();
    if deadline == u64::MAX {
        return;
    }
    if tsc::now().0 < deadline {
        program(deadline);
        return;
    }
    cpu.timer_deadline.set(u64::MAX);
    if let Some(upcalls) = upcall::get() {
        upcalls.timer_interrupt();
    }
}
