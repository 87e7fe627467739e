//! Scheduling policies as user space numbers them (`sched(7)`).

/// A policy. `SCHED_DEADLINE` is not there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Policy {
    /// `SCHED_OTHER`.
    Other = 0,
    /// `SCHED_FIFO`.
    Fifo = 1,
    /// `SCHED_RR`.
    Rr = 2,
    /// `SCHED_BATCH`.
    Batch = 3,
    /// `SCHED_IDLE`.
    Idle = 5,
}

impl Policy {
    /// The policy of this number.
    pub fn from_nr(nr: u32) -> Option<Policy> {
        Some(match nr {
            0 => Policy::Other,
            1 => Policy::Fifo,
            2 => Policy::Rr,
            3 => Policy::Batch,
            5 => Policy::Idle,
            _ => return None,
        })
    }
    /// Whether it is `SCHED_FIFO` or `SCHED_RR`.
    pub fn is_real_time(self) -> bool {
        matches!(self, Policy::Fifo | Policy::Rr)
    }
}
