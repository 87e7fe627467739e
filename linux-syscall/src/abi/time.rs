//! Times.

crate::abi! {
    /// `struct timespec`.
    Timespec[16] { sec: i64, nsec: i64, }
    /// `struct timeval`.
    Timeval[16] { sec: i64, usec: i64, }
    /// `struct itimerspec`.
    ItimerSpec[32] { interval: Timespec, value: Timespec, }
    /// `struct itimerval`.
    ItimerVal[32] { interval: Timeval, value: Timeval, }
    /// `struct utimbuf`.
    UtimBuf[16] { actime: i64, modtime: i64, }
    /// `struct tms`, in clock ticks of 10 ms.
    Tms[32] { utime: i64, stime: i64, cutime: i64, cstime: i64, }
    /// `struct timex`.
    Timex[208] {
        modes: u32, pad0: u32, offset: i64, freq: i64, maxerror: i64, esterror: i64, status: i32, pad1: i32,
        constant: i64, precision: i64, tolerance: i64, time: Timeval, tick: i64, ppsfreq: i64, jitter: i64,
        shift: i32, pad2: i32, stabil: i64, jitcnt: i64, calcnt: i64, errcnt: i64, stbcnt: i64, tai: i32,
        pad3: [i32; 11],
    }
    /// `struct sigevent`.
    SigEvent[64] { value: u64, signo: i32, notify: i32, tid: i32, pad: [i32; 11], }
}
