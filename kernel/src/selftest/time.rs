//! Clock and timers.

use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
use core::time::Duration;

use linux_object::hal::{Hal, Trap, UserClock};

use super::{RECEIVER, jobs, this_cpu, user::Program};

/// No CPU sees the clock go back, nor behind what another saw.
pub fn monotonic(hal: &dyn Hal) {
    static LAST: AtomicU64 = AtomicU64::new(0);
    jobs::everywhere(hal, |hal| {
        for _ in 0..20_000 {
            let seen = LAST.load(Relaxed);
            let now = hal.now().0;
            assert!(now >= seen, "{now} after {seen}");
            LAST.fetch_max(now, Relaxed);
        }
    });
    assert!(hal.boot_realtime() > 1_700_000_000_000_000_000);
}

fn timers() -> usize {
    RECEIVER.timers[this_cpu()].load(Relaxed)
}

/// On every CPU: a span, the past, a moved and a cancelled deadline.
pub fn idle(hal: &dyn Hal) {
    jobs::everywhere(hal, |hal| {
        for us in [0, 50, 1000, 5000] {
            let before = timers();
            let deadline = hal.now() + Duration::from_micros(us);
            hal.set_timer(Some(deadline));
            while timers() == before {
                hal.idle();
            }
            let late = hal.now().since(deadline);
            assert!(hal.now() >= deadline, "fired early");
            assert!(late < Duration::from_millis(500), "late by {late:?}");
        }
        let before = timers();
        hal.set_timer(Some(hal.now() + Duration::from_millis(2)));
        hal.set_timer(None);
        let until = hal.now() + Duration::from_millis(6);
        while hal.now() < until {
            hal.poll_interrupts();
        }
        assert_eq!(timers(), before, "a cancelled timer fired");
        hal.set_timer(Some(hal.now() + Duration::from_secs(1000)));
        let sooner = hal.now() + Duration::from_millis(1);
        hal.set_timer(Some(sooner));
        while timers() == before {
            hal.idle();
        }
        hal.set_timer(None);
    });
}

/// A program that never enters the kernel by itself.
pub fn user(hal: &dyn Hal) {
    let mut program = Program::new(hal, 0x10);
    for _ in 0..5 {
        let before = timers();
        hal.set_timer(Some(hal.now() + Duration::from_millis(1)));
        while timers() == before {
            assert_eq!(
                hal.run_user(&mut program.regs, &UserClock::default()),
                Trap::Interrupt
            );
        }
    }
    program.end(hal);
}
