//! System calls: `rseq`, and its work on the way to user mode.

use linux_object::error::{Error, Result};
use linux_object::ids::{USER_END, UserAddr};
use linux_object::task::rseq::CriticalSection;
use linux_object::task::signal::{force_fault, force_fault_exit};
use linux_object::task::{SigInfo, Signal};
use linux_object::{ensure, err};

use crate::context::Cx;
use crate::user_ptr::{UserInPtr, UserOutPtr};

const RSEQ_FLAG_UNREGISTER: i32 = 1;
const RSEQ_CPU_ID_UNINITIALIZED: u32 = u32::MAX;
/// Bytes and alignment of the area.
const AREA_SIZE: u32 = size_of::<Area>() as u32;
/// Where the area names the critical section.
const RSEQ_CS: u64 = core::mem::offset_of!(Area, rseq_cs) as u64;

crate::abi! {
    /// `struct rseq` as it was before 6.3.
    Area[32] { cpu_id_start: u32, cpu_id: u32, rseq_cs: u64, flags: u32, pad: [u32; 3], }
    /// `struct rseq_cs`.
    RawSection[32] { version: u32, flags: u32, start_ip: u64, post_commit_offset: u64, abort_ip: u64, }
}

/// `rseq(2)`.
pub fn rseq(cx: &mut Cx<'_>, rseq: UserAddr, rseq_len: u32, flags: i32, sig: u32) -> Result<usize> {
    let own = &cx.task.rseq;
    if flags & RSEQ_FLAG_UNREGISTER != 0 {
        ensure!(flags == RSEQ_FLAG_UNREGISTER, EINVAL, "rseq: unknown flags");
        ensure!(
            own.area() == Some(rseq) && rseq_len == AREA_SIZE,
            EINVAL,
            "rseq: another area is registered, or none"
        );
        ensure!(sig == own.signature(), EPERM, "rseq: another signature");
        write_cpu(cx, rseq, 0, RSEQ_CPU_ID_UNINITIALIZED)?;
        own.clear();
        return Ok(0);
    }
    ensure!(flags == 0, EINVAL, "rseq: unknown flags");
    if let Some(area) = own.area() {
        ensure!(
            area == rseq && rseq_len == AREA_SIZE,
            EINVAL,
            "rseq: another area is registered"
        );
        ensure!(sig == own.signature(), EPERM, "rseq: another signature");
        return Err(err!(EBUSY, "rseq: registered already"));
    }
    ensure!(
        rseq.0.is_multiple_of(AREA_SIZE.into()) && rseq_len == AREA_SIZE,
        EINVAL,
        "rseq: not aligned, or another size"
    );
    ensure!(
        rseq.0 <= USER_END - u64::from(AREA_SIZE),
        EFAULT,
        "rseq: not a user address"
    );
    // Memory that was used for something else may name a section; it would be fatal.
    if UserInPtr::<u64>::new(rseq.offset(RSEQ_CS)).read(cx)? != 0 {
        clear_section(cx, rseq)?;
    }
    cx.task.register_rseq(rseq, sig);
    Ok(0)
}

fn write_cpu(cx: &Cx<'_>, area: UserAddr, start: u32, cpu: u32) -> Result<()> {
    UserOutPtr::new(area).write(cx, &[start, cpu])
}

fn clear_section(cx: &Cx<'_>, area: UserAddr) -> Result<()> {
    UserOutPtr::new(area.offset(RSEQ_CS)).write(cx, &0u64)
}

/// The task was away from its CPU: aborts a section, and tells the CPU. SIGSEGV if that is not possible.
#[cold]
pub(crate) fn notify_resume(cx: &mut Cx<'_>) {
    if fixup(cx).is_err() {
        force_fault(cx.task, SigInfo::kernel(Signal::SEGV));
    }
}

/// The same before the frame of a handler for `signal` is made.
pub(crate) fn signal_deliver(cx: &mut Cx<'_>, signal: Signal) {
    if cx.task.rseq.area().is_none() || fixup(cx).is_ok() {
        return;
    }
    let info = SigInfo::kernel(Signal::SEGV);
    if signal == Signal::SEGV {
        force_fault_exit(cx.task, info);
    } else {
        force_fault(cx.task, info);
    }
}

fn fixup(cx: &mut Cx<'_>) -> Result<()> {
    let Some(at) = cx.task.rseq.area() else {
        return Ok(());
    };
    let area: Area = UserInPtr::new(at).read(cx)?;
    if area.rseq_cs != 0 {
        let (section, flags) = read_section(cx, area.rseq_cs)?;
        let inside = section.contains(cx.regs.rip);
        ensure!(
            !inside || flags == 0 && area.flags == 0,
            EINVAL,
            "rseq: flags are not used any more"
        );
        clear_section(cx, at)?;
        if inside {
            cx.regs.rip = section.abort;
        }
    }
    let cpu = cx.kernel.sched.current_cpu().0;
    if area.cpu_id_start != cpu || area.cpu_id != cpu {
        write_cpu(cx, at, cpu, cpu)?;
    }
    Ok(())
}

/// The section at `at` and its flags.
fn read_section(cx: &Cx<'_>, at: u64) -> Result<(CriticalSection, u32), Error> {
    ensure!(at < USER_END, EINVAL, "rseq: not a user address");
    let raw: RawSection = UserInPtr::new(UserAddr(at)).read(cx)?;
    ensure!(raw.version == 0, EINVAL, "rseq: an unknown version");
    let section = CriticalSection {
        start: raw.start_ip,
        len: raw.post_commit_offset,
        abort: raw.abort_ip,
    };
    section.check()?;
    let before = UserAddr(section.abort.wrapping_sub(4));
    let signature = UserInPtr::<u32>::new(before).read(cx)?;
    ensure!(
        signature == cx.task.rseq.signature(),
        EINVAL,
        "rseq: the abort address is not signed"
    );
    Ok((section, raw.flags))
}
