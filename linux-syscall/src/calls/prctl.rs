//! System calls: `prctl`, `arch_prctl`, `personality`.

use core::sync::atomic::Ordering;

use linux_object::cred::{Capabilities, Capability, SecureBits};
use linux_object::error::Result;
use linux_object::ids::{USER_END, UserAddr};
use linux_object::task::{Signal, Task};
use linux_object::{bail, ensure};

use crate::context::Cx;
use crate::user_dispatch;
use crate::user_ptr::{UserCStr, UserOutPtr};

/// `personality(2)`.
pub fn personality(cx: &mut Cx<'_>, persona: u32) -> Result<usize> {
    let current = &cx.task.personality;
    let old = if persona == u32::MAX {
        current.load(Ordering::Relaxed)
    } else {
        current.swap(persona, Ordering::Relaxed)
    };
    Ok(old as usize)
}

const PR_SET_PDEATHSIG: i32 = 1;
const PR_GET_PDEATHSIG: i32 = 2;
const PR_GET_DUMPABLE: i32 = 3;
const PR_SET_DUMPABLE: i32 = 4;
const PR_GET_KEEPCAPS: i32 = 7;
const PR_SET_KEEPCAPS: i32 = 8;
const PR_GET_TIMING: i32 = 13;
const PR_SET_TIMING: i32 = 14;
const PR_SET_NAME: i32 = 15;
const PR_GET_NAME: i32 = 16;
const PR_GET_SECCOMP: i32 = 21;
const PR_SET_SECCOMP: i32 = 22;
const PR_CAPBSET_READ: i32 = 23;
const PR_CAPBSET_DROP: i32 = 24;
const PR_GET_TSC: i32 = 25;
const PR_SET_TSC: i32 = 26;
const PR_GET_SECUREBITS: i32 = 27;
const PR_SET_SECUREBITS: i32 = 28;
const PR_SET_TIMERSLACK: i32 = 29;
const PR_GET_TIMERSLACK: i32 = 30;
const PR_SET_MM: i32 = 35;
const PR_SET_CHILD_SUBREAPER: i32 = 36;
const PR_GET_CHILD_SUBREAPER: i32 = 37;
const PR_SET_NO_NEW_PRIVS: i32 = 38;
const PR_GET_NO_NEW_PRIVS: i32 = 39;
const PR_GET_TID_ADDRESS: i32 = 40;
const PR_SET_THP_DISABLE: i32 = 41;
const PR_GET_THP_DISABLE: i32 = 42;
const PR_CAP_AMBIENT: i32 = 47;
const PR_SET_IO_FLUSHER: i32 = 57;
const PR_GET_IO_FLUSHER: i32 = 58;
const PR_SET_SYSCALL_USER_DISPATCH: i32 = 59;

const PR_TSC_ENABLE: i32 = 1;
const PR_CAP_AMBIENT_IS_SET: u64 = 1;
const PR_CAP_AMBIENT_RAISE: u64 = 2;
const PR_CAP_AMBIENT_LOWER: u64 = 3;
const PR_CAP_AMBIENT_CLEAR_ALL: u64 = 4;
/// The `_LOCKED` bits of [`SecureBits`].
const SECURE_ALL_LOCKS: u32 = 0xaa;

/// The set of one capability by number.
fn capability(nr: u64) -> Result<Capabilities> {
    ensure!(nr <= u64::from(Capability::LAST), EINVAL, "no such capability");
    Ok(Capabilities::from_bits_retain(1 << nr))
}

/// `prctl(2)`. What it does not know is `EINVAL`, as on a Linux built without it.
pub fn prctl(cx: &mut Cx<'_>, option: i32, arg2: u64, arg3: u64, arg4: u64, arg5: u64) -> Result<usize> {
    let task = cx.task;
    let put = |value: i32| -> Result<usize> {
        UserOutPtr::<i32>::new(UserAddr(arg2)).write(cx, &value)?;
        Ok(0)
    };
    let unused = |args: &[u64]| args.iter().all(|arg| *arg == 0);
    match option {
        PR_SET_PDEATHSIG => {
            ensure!(
                arg2 <= u64::from(Signal::MAX),
                EINVAL,
                "PR_SET_PDEATHSIG: no such signal"
            );
            task.pdeath_signal.store(arg2 as u8, Ordering::Relaxed);
        }
        PR_GET_PDEATHSIG => return put(task.pdeath_signal.load(Ordering::Relaxed).into()),
        PR_GET_DUMPABLE => return Ok(task.mm().dumpable() as usize),
        PR_SET_DUMPABLE => {
            ensure!(arg2 <= 1, EINVAL, "PR_SET_DUMPABLE: 0 or 1");
            task.mm().set_dumpable(arg2);
        }
        PR_GET_KEEPCAPS => {
            return Ok(task.cred().securebits.contains(SecureBits::KEEP_CAPS).into());
        }
        PR_SET_KEEPCAPS => {
            ensure!(arg2 <= 1, EINVAL, "PR_SET_KEEPCAPS: 0 or 1");
            let mut new = (*task.cred()).clone();
            ensure!(
                !new.securebits.contains(SecureBits::KEEP_CAPS_LOCKED),
                EPERM,
                "PR_SET_KEEPCAPS: locked"
            );
            new.securebits.set(SecureBits::KEEP_CAPS, arg2 == 1);
            task.commit_creds(new);
        }
        PR_GET_TIMING => {}
        PR_SET_TIMING => ensure!(arg2 == 0, EINVAL, "PR_SET_TIMING: only statistical"),
        PR_SET_NAME => {
            let mut name = [0; 15];
            let (len, _) = cx
                .hal()
                .strncpy_from_user(&mut name, UserCStr(UserAddr(arg2)).0)?;
            task.set_comm(&name[..len]);
        }
        PR_GET_NAME => {
            cx.hal().copy_to_user(UserAddr(arg2), &task.comm())?;
        }
        PR_GET_SECCOMP => return Ok(task.seccomp.mode() as usize),
        PR_SET_SECCOMP => return super::seccomp::prctl_set_seccomp(cx, arg2, UserAddr(arg3)),
        PR_CAPBSET_READ => {
            let set = capability(arg2)?;
            return Ok(task.cred().cap_bounding.contains(set).into());
        }
        PR_CAPBSET_DROP => {
            let mut new = (*task.cred()).clone();
            ensure!(
                new.ns_capable(&new.user_ns, Capability::SETPCAP),
                EPERM,
                "PR_CAPBSET_DROP: no CAP_SETPCAP"
            );
            new.cap_bounding -= capability(arg2)?;
            task.commit_creds(new);
        }
        PR_GET_TSC => return put(PR_TSC_ENABLE),
        // The counter is always readable; taking it away is not offered.
        PR_SET_TSC => ensure!(
            arg2 == PR_TSC_ENABLE as u64,
            EINVAL,
            "PR_SET_TSC: rdtsc stays enabled"
        ),
        PR_GET_SECUREBITS => return Ok(task.cred().securebits.bits() as usize),
        PR_SET_SECUREBITS => set_securebits(cx, arg2)?,
        PR_SET_TIMERSLACK => {
            let slack = match arg2 as i64 {
                ..=0 => task.default_timer_slack_ns.load(Ordering::Relaxed),
                _ => arg2,
            };
            task.timer_slack_ns.store(slack, Ordering::Relaxed);
        }
        PR_GET_TIMERSLACK => return Ok(task.timer_slack_ns.load(Ordering::Relaxed) as usize),
        PR_SET_MM => {
            ensure!(arg5 == 0, EINVAL, "PR_SET_MM: unused arguments");
            ensure!(
                task.cred().capable(Capability::SYS_RESOURCE),
                EPERM,
                "PR_SET_MM: no CAP_SYS_RESOURCE"
            );
            bail!(EINVAL, "PR_SET_MM: not offered");
        }
        PR_SET_CHILD_SUBREAPER => {
            task.group().is_subreaper.store(arg2 != 0, Ordering::Relaxed);
        }
        PR_GET_CHILD_SUBREAPER => return put(task.group().is_subreaper.load(Ordering::Relaxed).into()),
        PR_SET_NO_NEW_PRIVS => {
            ensure!(
                arg2 == 1 && unused(&[arg3, arg4, arg5]),
                EINVAL,
                "PR_SET_NO_NEW_PRIVS: only to 1, without more arguments"
            );
            task.no_new_privs.store(true, Ordering::Relaxed);
        }
        PR_GET_NO_NEW_PRIVS => {
            ensure!(
                unused(&[arg2, arg3, arg4, arg5]),
                EINVAL,
                "PR_GET_NO_NEW_PRIVS: unused arguments"
            );
            return Ok(task.no_new_privs.load(Ordering::Relaxed).into());
        }
        PR_GET_TID_ADDRESS => {
            let at = task.clear_child_tid.load(Ordering::Relaxed);
            UserOutPtr::<u64>::new(UserAddr(arg2)).write(cx, &at)?;
        }
        PR_SET_THP_DISABLE => {
            ensure!(
                unused(&[arg3, arg4, arg5]),
                EINVAL,
                "PR_SET_THP_DISABLE: unused arguments"
            );
            task.group().thp_disabled.store(arg2 != 0, Ordering::Relaxed);
        }
        PR_GET_THP_DISABLE => {
            ensure!(
                unused(&[arg2, arg3, arg4, arg5]),
                EINVAL,
                "PR_GET_THP_DISABLE: unused arguments"
            );
            return Ok(task.group().thp_disabled.load(Ordering::Relaxed).into());
        }
        PR_CAP_AMBIENT => return cap_ambient(cx, arg2, arg3, arg4, arg5),
        PR_SET_IO_FLUSHER | PR_GET_IO_FLUSHER => {
            ensure!(
                task.cred().capable(Capability::SYS_RESOURCE),
                EPERM,
                "PR_SET_IO_FLUSHER: no CAP_SYS_RESOURCE"
            );
            bail!(EINVAL, "prctl: no block devices to flush to");
        }
        PR_SET_SYSCALL_USER_DISPATCH => {
            return user_dispatch::prctl_set(cx, arg2, arg3, arg4, UserAddr(arg5));
        }
        _ => bail!(EINVAL, "prctl: unknown option"),
    }
    Ok(0)
}

fn set_securebits(cx: &Cx<'_>, bits: u64) -> Result<()> {
    let old = cx.task.cred();
    let bits_now = old.securebits.bits();
    let allowed = u64::from(SecureBits::all().bits());
    let new_bits = bits as u32;
    let locked = (bits_now & SECURE_ALL_LOCKS) >> 1;
    ensure!(
        locked & (bits_now ^ new_bits) == 0
            && bits_now & SECURE_ALL_LOCKS & !new_bits == 0
            && bits & !allowed == 0
            && old.ns_capable(&old.user_ns, Capability::SETPCAP),
        EPERM,
        "PR_SET_SECUREBITS: locked or unknown bits, or no CAP_SETPCAP"
    );
    let mut new = (*old).clone();
    new.securebits = SecureBits::from_bits_truncate(new_bits);
    cx.task.commit_creds(new);
    Ok(())
}

fn cap_ambient(cx: &Cx<'_>, arg2: u64, arg3: u64, arg4: u64, arg5: u64) -> Result<usize> {
    let mut new = (*cx.task.cred()).clone();
    if arg2 == PR_CAP_AMBIENT_CLEAR_ALL {
        ensure!(
            arg3 | arg4 | arg5 == 0,
            EINVAL,
            "PR_CAP_AMBIENT: unused arguments"
        );
        new.cap_ambient = Capabilities::empty();
        cx.task.commit_creds(new);
        return Ok(0);
    }
    let set = capability(arg3)?;
    ensure!(arg4 | arg5 == 0, EINVAL, "PR_CAP_AMBIENT: unused arguments");
    match arg2 {
        PR_CAP_AMBIENT_IS_SET => return Ok(new.cap_ambient.contains(set).into()),
        PR_CAP_AMBIENT_RAISE => {
            ensure!(
                new.cap_permitted.contains(set)
                    && new.cap_inheritable.contains(set)
                    && !new.securebits.contains(SecureBits::NO_CAP_AMBIENT_RAISE),
                EPERM,
                "PR_CAP_AMBIENT_RAISE: not permitted and inheritable, or forbidden"
            );
            new.cap_ambient |= set;
        }
        PR_CAP_AMBIENT_LOWER => new.cap_ambient -= set,
        _ => bail!(EINVAL, "PR_CAP_AMBIENT: unknown operation"),
    }
    cx.task.commit_creds(new);
    Ok(0)
}

const ARCH_SET_GS: i32 = 0x1001;
const ARCH_SET_FS: i32 = 0x1002;
const ARCH_GET_FS: i32 = 0x1003;
const ARCH_GET_GS: i32 = 0x1004;
const ARCH_GET_CPUID: i32 = 0x1011;
const ARCH_SET_CPUID: i32 = 0x1012;

/// `arch_prctl(2)`.
pub fn arch_prctl(cx: &mut Cx<'_>, code: i32, addr: UserAddr) -> Result<usize> {
    arch_prctl_of(cx, cx.task, code, addr)
}

/// The same for a thread that does not run; results go to the caller's memory (`PTRACE_ARCH_PRCTL`).
pub fn arch_prctl_of(cx: &Cx<'_>, task: &Task, code: i32, addr: UserAddr) -> Result<usize> {
    let thread = &task.thread;
    match code {
        ARCH_SET_GS | ARCH_SET_FS => {
            ensure!(addr.0 < USER_END, EPERM, "arch_prctl: not a user address");
            if code == ARCH_SET_FS {
                thread.set_fs_base(addr.0);
            } else {
                thread.set_gs_base(addr.0);
            }
        }
        ARCH_GET_FS => UserOutPtr::<u64>::new(addr).write(cx, &thread.fs_base())?,
        ARCH_GET_GS => UserOutPtr::<u64>::new(addr).write(cx, &thread.gs_base())?,
        // 1: the cpuid instruction is enabled.
        ARCH_GET_CPUID => return Ok(1),
        ARCH_SET_CPUID => bail!(ENODEV, "arch_prctl: the CPU cannot make cpuid fault"),
        _ => bail!(EINVAL, "arch_prctl: unknown code"),
    }
    Ok(0)
}
