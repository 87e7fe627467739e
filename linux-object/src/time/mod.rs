//! Time: clocks, timers and their queues.

mod clock_events;
mod cpu_timer;
mod ktime;
mod timekeeper;
mod timers;

pub use clock_events::ClockEvents;
pub use cpu_timer::check_cpu_timers;
pub use ktime::Ktime;
pub use timekeeper::{COARSE_RESOLUTION, NSEC_PER_SEC, Timekeeper, VdsoData, VdsoUpdate};
pub use timers::{TimerCallback, TimerId, TimerQueue, Timers};
