//! System calls while the memory for the kernel's own objects runs out.
//!
//! Small kernel objects are allocated without a way to fail; what makes that safe is a reserve of page
//! frames that user memory never gets. Whoever finds half of it used up on the way into a system call
//! refills it first: processes are killed, the largest first, until enough has come back. When nobody
//! is left to be killed, only calls run that give back or at least keep nothing; all others fail with
//! `ENOMEM`. Between two such looks a call makes a bounded number of small objects, for which the other
//! half of the reserve is there; loops that make objects for as long as user space likes ask
//! `Frames::reserve_is_low` themselves, and allocations of a size that user space chooses can fail.

use linux_object::error::Errno;
use linux_object::mm::oom::{Refill, refill_reserve};

use crate::context::Cx;
use crate::thread;

/// Runs the call that the registers ask for when there is memory for it.
#[cold]
pub(crate) fn system_call(cx: &mut Cx<'_>) {
    let task = cx.task;
    while cx.hal().reserve_is_low() && !task.fatal_signal_pending() {
        if gives_back(cx.regs.orig_rax) {
            break;
        }
        if refill_reserve(task) == Refill::Nobody {
            cx.regs.rax = -(Errno::ENOMEM as i64) as u64;
            return;
        }
        thread::nap(cx, thread::MOMENT);
    }
    if task.fatal_signal_pending() {
        // It never sees the result.
        cx.regs.rax = -(Errno::EINTR as i64) as u64;
        return;
    }
    thread::system_call(cx);
}

/// Calls that free memory or keep none.
fn gives_back(nr: u64) -> bool {
    const CALLS: &[u64] = &[
        0,   // read
        1,   // write
        3,   // close
        7,   // poll
        11,  // munmap
        14,  // rt_sigprocmask
        15,  // rt_sigreturn
        35,  // nanosleep
        60,  // exit
        61,  // wait4
        62,  // kill
        84,  // rmdir
        87,  // unlink
        166, // umount2
        169, // reboot
        230, // clock_nanosleep
        231, // exit_group
        234, // tgkill
        247, // waitid
        263, // unlinkat
        436, // close_range
    ];
    CALLS.contains(&nr)
}
