//! System calls: the system as a whole (`sysinfo(2)`, `syslog(2)`, `reboot(2)`, `getrandom(2)`,
//! `swapon(2)`).

use core::sync::atomic::Ordering;

use linux_object::cred::Capability;
use linux_object::error::Result;
use linux_object::fs::PollEvents;
use linux_object::fs::namei::LookupFlags;
use linux_object::ids::{Fd, PAGE_SIZE, UserAddr};
use linux_object::task::signal::send_to_group;
use linux_object::task::{SigInfo, Signal};
use linux_object::time::Ktime;
use linux_object::tty::vhangup_self;
use linux_object::{bail, ensure};

use crate::abi::{self, AT_FDCWD};
use crate::context::Cx;
use crate::user_path;
use crate::user_ptr::{UserCStr, UserOutPtr};
use crate::wait_until::{WaitError, WaitKind, WaitOn, wait_until};

/// `sysinfo(2)`.
pub fn sysinfo(cx: &mut Cx<'_>, info: UserOutPtr<abi::SysInfo>) -> Result<usize> {
    let kernel = cx.kernel;
    let frames = kernel.hal.frame_stats();
    let offset = cx.task.nsproxy().time_ns.offsets().boottime;
    let up = (kernel.time.now().0 as i64).saturating_add(offset);
    // Rounded up, as Linux does it.
    let uptime = up.saturating_add(999_999_999).div_euclid(1_000_000_000);
    let answer = abi::SysInfo {
        uptime,
        loads: kernel.sched.loadavg().map(|load| load << 5),
        totalram: (frames.total * PAGE_SIZE) as u64,
        freeram: (frames.free * PAGE_SIZE) as u64,
        procs: u16::try_from(kernel.tasks.nr_threads()).unwrap_or(u16::MAX),
        mem_unit: 1,
        ..abi::SysInfo::default()
    };
    info.write(cx, &answer)?;
    Ok(0)
}

/// Actions of `syslog(2)`.
mod action {
    pub const CLOSE: i32 = 0;
    pub const OPEN: i32 = 1;
    pub const READ: i32 = 2;
    pub const READ_ALL: i32 = 3;
    pub const READ_CLEAR: i32 = 4;
    pub const CLEAR: i32 = 5;
    pub const CONSOLE_OFF: i32 = 6;
    pub const CONSOLE_ON: i32 = 7;
    pub const CONSOLE_LEVEL: i32 = 8;
    pub const SIZE_UNREAD: i32 = 9;
    pub const SIZE_BUFFER: i32 = 10;
}

/// Reading everything is free unless `dmesg_restrict` is set; all else needs a capability.
fn check_syslog(cx: &Cx<'_>, kind: i32) -> Result<()> {
    let restricted = cx.kernel.sysctl.dmesg_restrict.get() != 0;
    if !restricted && matches!(kind, action::READ_ALL | action::SIZE_BUFFER) {
        return Ok(());
    }
    let cred = cx.task.cred();
    ensure!(
        cred.capable(Capability::SYSLOG) || cred.capable(Capability::SYS_ADMIN),
        EPERM,
        "syslog: no CAP_SYSLOG"
    );
    Ok(())
}

/// `syslog(2)`.
pub fn syslog(cx: &mut Cx<'_>, kind: i32, buf: UserOutPtr<u8>, len: i32) -> Result<usize> {
    check_syslog(cx, kind)?;
    let log = &cx.kernel.log;
    match kind {
        action::CLOSE | action::OPEN => {}
        action::READ => {
            ensure!(!buf.is_null() && len >= 0, EINVAL, "no buffer");
            if len == 0 {
                return Ok(0);
            }
            let on = [WaitOn::events(&log.queue, PollEvents::IN)];
            let unread = || (log.unread() > 0).then_some(());
            wait_until(cx.task, &on, Ktime::MAX, WaitKind::Interruptible, unread)
                .map_err(WaitError::restart_sys)?;
            let bytes = log.take(len as usize);
            buf.write_slice(cx, &bytes)?;
            return Ok(bytes.len());
        }
        action::READ_ALL | action::READ_CLEAR => {
            ensure!(!buf.is_null() && len >= 0, EINVAL, "no buffer");
            let bytes = log.tail(len as usize);
            buf.write_slice(cx, &bytes)?;
            if kind == action::READ_CLEAR {
                log.clear();
            }
            return Ok(bytes.len());
        }
        action::CLEAR => log.clear(),
        action::CONSOLE_OFF => log.console_off(),
        action::CONSOLE_ON => log.console_on(),
        action::CONSOLE_LEVEL => {
            ensure!((1..=8).contains(&len), EINVAL, "no such console level");
            log.set_console_level(len as u8);
        }
        action::SIZE_UNREAD => return Ok(log.unread()),
        action::SIZE_BUFFER => return Ok(linux_object::log_ring::LOG_BUF_LEN),
        _ => bail!(EINVAL, "no such action"),
    }
    Ok(0)
}

/// `vhangup(2)`.
pub fn vhangup(cx: &mut Cx<'_>) -> Result<usize> {
    let cred = cx.task.cred();
    ensure!(
        cred.capable(Capability::SYS_TTY_CONFIG),
        EPERM,
        "no CAP_SYS_TTY_CONFIG"
    );
    vhangup_self(cx.task);
    Ok(0)
}

const LINUX_REBOOT_MAGIC1: u32 = 0xfee1_dead;
/// Linus and his daughters.
const LINUX_REBOOT_MAGIC2: [u32; 4] = [672_274_793, 85_072_278, 369_367_448, 537_993_216];

const LINUX_REBOOT_CMD_RESTART: u32 = 0x0123_4567;
const LINUX_REBOOT_CMD_HALT: u32 = 0xcdef_0123;
const LINUX_REBOOT_CMD_CAD_ON: u32 = 0x89ab_cdef;
const LINUX_REBOOT_CMD_CAD_OFF: u32 = 0;
const LINUX_REBOOT_CMD_POWER_OFF: u32 = 0x4321_fedc;
const LINUX_REBOOT_CMD_RESTART2: u32 = 0xa1b2_c3d4;

/// `reboot(2)`. Nothing is cached that would have to be written.
pub fn reboot(cx: &mut Cx<'_>, magic: u32, magic2: u32, op: u32, arg: UserCStr) -> Result<usize> {
    let pid_ns = cx.task.pid_ns();
    let cred = cx.task.cred();
    ensure!(
        cred.ns_capable(pid_ns.user_ns(), Capability::SYS_BOOT),
        EPERM,
        "no CAP_SYS_BOOT over the pid namespace"
    );
    ensure!(
        magic == LINUX_REBOOT_MAGIC1 && LINUX_REBOOT_MAGIC2.contains(&magic2),
        EINVAL,
        "reboot: wrong magic"
    );
    if pid_ns.level() != 0 {
        return reboot_pid_ns(cx, op);
    }
    let hal = cx.hal();
    match op {
        LINUX_REBOOT_CMD_RESTART => hal.restart(),
        LINUX_REBOOT_CMD_RESTART2 => {
            // The text is for firmware that understands it.
            arg.read(cx, 256)?;
            hal.restart()
        }
        LINUX_REBOOT_CMD_HALT => hal.halt(),
        LINUX_REBOOT_CMD_POWER_OFF => hal.power_off(),
        LINUX_REBOOT_CMD_CAD_ON => cx.kernel.sysctl.ctrl_alt_del.set(1),
        LINUX_REBOOT_CMD_CAD_OFF => cx.kernel.sysctl.ctrl_alt_del.set(0),
        _ => bail!(EINVAL, "reboot: no such operation here"),
    }
    Ok(0)
}

/// In a pid namespace, its init ends as if by a signal that tells its parent what was asked for.
fn reboot_pid_ns(cx: &mut Cx<'_>, op: u32) -> Result<usize> {
    let signal = match op {
        LINUX_REBOOT_CMD_RESTART | LINUX_REBOOT_CMD_RESTART2 => Signal::HUP,
        LINUX_REBOOT_CMD_HALT | LINUX_REBOOT_CMD_POWER_OFF => Signal::INT,
        _ => bail!(EINVAL, "reboot: not in a pid namespace"),
    };
    let pid_ns = cx.task.pid_ns();
    pid_ns.reboot_signal.store(signal.nr().into(), Ordering::Relaxed);
    if let Some(init) = pid_ns.child_reaper() {
        let _ = send_to_group(&init, SigInfo::kernel(Signal::KILL));
    }
    // Linux ends the caller here (do_exit), which the kill of the whole namespace does too.
    let _ = wait_until(cx.task, &[], Ktime::MAX, WaitKind::Killable, || None::<()>);
    bail!(EINTR, "the pid namespace ends")
}

const GRND_NONBLOCK: u32 = 1;
const GRND_RANDOM: u32 = 2;
const GRND_INSECURE: u32 = 4;

/// `getrandom(2)`. The generator is seeded at boot, so nobody waits.
pub fn getrandom(cx: &mut Cx<'_>, buf: UserOutPtr<u8>, buflen: usize, flags: u32) -> Result<usize> {
    ensure!(
        flags & !(GRND_NONBLOCK | GRND_RANDOM | GRND_INSECURE) == 0,
        EINVAL,
        "unknown flags"
    );
    ensure!(
        flags & (GRND_INSECURE | GRND_RANDOM) != GRND_INSECURE | GRND_RANDOM,
        EINVAL,
        "GRND_INSECURE and GRND_RANDOM exclude each other"
    );
    let len = buflen.min(i32::MAX as usize & !(PAGE_SIZE - 1));
    let mut done = 0;
    let mut part = [0; 256];
    while done < len {
        let n = (len - done).min(part.len());
        cx.kernel.rng.fill(&mut part[..n]);
        let at = UserAddr(buf.addr().0.wrapping_add(done as u64));
        if let Err(error) = cx.hal().copy_to_user(at, &part[..n]) {
            return if done > 0 { Ok(done) } else { Err(error) };
        }
        done += n;
        if done % PAGE_SIZE == 0 && done < len {
            if cx.task.signal_pending() {
                break;
            }
            cx.kernel.sched.cond_resched(cx.task);
        }
    }
    Ok(done)
}

/// Flags of `swapon(2)`: priorities, discards, pages.
const SWAP_FLAGS_VALID: u32 = 0x7_ffff;

/// What is wrong with anything as a place to swap to: neither devices nor file systems can take pages.
fn no_swap(cx: &Cx<'_>, path: UserCStr) -> Result<usize> {
    ensure!(
        cx.task.cred().capable(Capability::SYS_ADMIN),
        EPERM,
        "swapping needs CAP_SYS_ADMIN"
    );
    let path = user_path::lookup(cx, Fd(AT_FDCWD), path, LookupFlags::FOLLOW)?;
    drop(path);
    bail!(EINVAL, "nothing can be swapped to here")
}

/// `swapon(2)`.
pub fn swapon(cx: &mut Cx<'_>, path: UserCStr, swapflags: u32) -> Result<usize> {
    ensure!(
        swapflags & !SWAP_FLAGS_VALID == 0,
        EINVAL,
        "swapon: unknown flags"
    );
    no_swap(cx, path)
}

/// `swapoff(2)`.
pub fn swapoff(cx: &mut Cx<'_>, path: UserCStr) -> Result<usize> {
    no_swap(cx, path)
}
