//! Time: clocks, timers and their queues.

mod alarm;
mod clock_events;
mod cpu_timer;
mod ktime;
mod timekeeper;
mod timerfd;
mod timers;

pub use alarm::{Alarm, AlarmClock};
pub use clock_events::ClockEvents;
pub use cpu_timer::check_cpu_timers;
pub use ktime::Ktime;
pub use timekeeper::{COARSE_RESOLUTION, NSEC_PER_SEC, Timekeeper, VdsoData, VdsoUpdate};
pub use timerfd::{IntervalSetting, TimerFd};
pub use timers::{TimerCallback, TimerId, TimerQueue, Timers};
