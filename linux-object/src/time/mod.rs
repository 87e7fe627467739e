//! Time: clocks, timers and their queues.

mod alarm;
mod clock_events;
mod cpu_clock;
mod cpu_timer;
mod ktime;
mod posix_timer;
mod process_timers;
mod timekeeper;
mod timerfd;
mod timers;

pub use alarm::{Alarm, AlarmClock};
pub use clock_events::ClockEvents;
pub use cpu_clock::{CpuClock, CpuTarget, CpuTimeKind};
pub use cpu_timer::{CpuTimer, check_cpu_timers, start_tick, update_tick};
pub use ktime::Ktime;
pub use posix_timer::{PosixTimer, TimerBase, TimerNotify};
pub use process_timers::{CpuItimer, ProcessTimers};
pub use timekeeper::{COARSE_RESOLUTION, NSEC_PER_SEC, Timekeeper, VdsoData, VdsoUpdate};
pub use timerfd::{IntervalSetting, TimerFd};
pub use timers::{TimerCallback, TimerId, TimerQueue, Timers};
