//! System calls: scheduling (`sched(7)`, `setpriority(2)`, `sched_setattr(2)`, `membarrier(2)`).

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::Ordering;

use linux_object::cred::{Capability, Cred};
use linux_object::error::Result;
use linux_object::ids::{CpuId, PidNr, Uid, UserAddr};
use linux_object::sched::{CpuMask, NICE_RANGE, Policy, SchedParams};
use linux_object::task::{Resource, Task};
use linux_object::{bail, ensure, err};

use crate::abi;
use crate::abi::{SchedAttr, SchedParam, Timespec};
use crate::context::Cx;
use crate::user_ptr::{UserInPtr, UserOutPtr, UserPtr};

/// The task that `pid` names; 0 is the caller. `ESRCH`.
fn find(cx: &Cx<'_>, pid: i32) -> Result<Arc<Task>> {
    if pid == 0 {
        return Ok(cx.task.clone());
    }
    let task = cx.kernel.tasks.find_task(cx.task.pid_ns(), PidNr(pid));
    task.ok_or(err!(ESRCH, "no such thread"))
}

/// `sched_yield(2)`.
pub fn sched_yield(cx: &mut Cx<'_>) -> Result<usize> {
    cx.kernel.sched.yield_now();
    Ok(0)
}

const PRIO_PROCESS: i32 = 0;
const PRIO_PGRP: i32 = 1;
const PRIO_USER: i32 = 2;

/// The tasks that `which` and `who` name (`setpriority(2)`).
fn priority_targets(cx: &Cx<'_>, which: i32, who: i32) -> Result<Vec<Arc<Task>>> {
    let tasks = &cx.kernel.tasks;
    let ns = cx.task.pid_ns();
    Ok(match which {
        PRIO_PROCESS => find(cx, who).into_iter().collect(),
        PRIO_PGRP => {
            let pgrp = match who {
                0 => Some(cx.task.group().pgrp()),
                _ => tasks.find_pid(ns, PidNr(who)),
            };
            let members = pgrp.map(|pgrp| pgrp.pgrp_members()).unwrap_or_default();
            members.iter().flat_map(|group| group.threads()).collect()
        }
        PRIO_USER => {
            let cred = cx.task.cred();
            let uid = match who {
                0 => Some(cred.uid),
                _ => cred.user_ns.make_kuid(Uid(who as u32)),
            };
            let mut found = Vec::new();
            // A number that is not mapped is nobody's.
            if let Some(uid) = uid {
                tasks.for_each_group(ns, |_, group| {
                    found.extend(group.threads().into_iter().filter(|task| task.cred().uid == uid));
                });
            }
            found
        }
        _ => bail!(EINVAL, "no such kind of target"),
    })
}

/// `getpriority(2)`: 20 minus the lowest nice level, so 1 to 40.
pub fn getpriority(cx: &mut Cx<'_>, which: i32, who: i32) -> Result<usize> {
    let targets = priority_targets(cx, which, who)?;
    let best = targets
        .iter()
        .map(|task| 20 - i32::from(task.sched.params().nice))
        .max();
    Ok(best.ok_or(err!(ESRCH, "no such target"))? as usize)
}

/// Whether the caller is the target's user (Linux's `check_same_owner`).
fn same_owner(cred: &Cred, target: &Task) -> bool {
    let target = target.cred();
    cred.euid == target.euid || cred.euid == target.uid
}

/// Whether it is, or may do as it likes with scheduling there.
fn owns(cred: &Cred, target: &Task) -> bool {
    same_owner(cred, target) || cred.ns_capable(&target.cred().user_ns, Capability::SYS_NICE)
}

/// Whether `RLIMIT_NICE` or `CAP_SYS_NICE` allows the nice level (Linux's `can_nice`).
fn can_nice(cred: &Cred, task: &Task, nice: i32) -> bool {
    let ceiling = (20 - nice) as u64;
    ceiling <= task.group().rlimit(Resource::NICE).cur || cred.capable(Capability::SYS_NICE)
}

/// `setpriority(2)`.
pub fn setpriority(cx: &mut Cx<'_>, which: i32, who: i32, prio: i32) -> Result<usize> {
    ensure!(
        (PRIO_PROCESS..=PRIO_USER).contains(&which),
        EINVAL,
        "no such kind of target"
    );
    let nice = prio.clamp(*NICE_RANGE.start(), *NICE_RANGE.end());
    let cred = cx.task.cred();
    let mut result = Err(err!(ESRCH, "no such target"));
    for task in priority_targets(cx, which, who)? {
        result = set_one_priority(cx, &cred, &task, nice, result);
    }
    result.map(|()| 0)
}

/// One target of `setpriority`; an error stays the result of the whole call.
fn set_one_priority(cx: &Cx<'_>, cred: &Cred, task: &Arc<Task>, nice: i32, before: Result<()>) -> Result<()> {
    let target = task.cred();
    let allowed = cred.euid == target.euid
        || cred.uid == target.uid
        || cred.euid == target.uid
        || cred.ns_capable(&target.user_ns, Capability::SYS_NICE);
    ensure!(allowed, EPERM, "setpriority: another user's process");
    let lower = nice < i32::from(task.sched.params().nice);
    ensure!(
        !lower || can_nice(cred, task, nice),
        EACCES,
        "setpriority: neither RLIMIT_NICE nor CAP_SYS_NICE"
    );
    cx.kernel.sched.set_nice(task, nice as i8);
    match before {
        Err(error) if error == linux_object::error::Errno::ESRCH => Ok(()),
        other => other,
    }
}

const SCHED_RESET_ON_FORK: u32 = 0x4000_0000;
const SCHED_DEADLINE: i32 = 6;

const SCHED_FLAG_RESET_ON_FORK: u64 = 0x1;
const SCHED_FLAG_KEEP_POLICY: u64 = 0x8;
const SCHED_FLAG_KEEP_PARAMS: u64 = 0x10;

/// Checks what the user asks for and sets it (Linux's `__sched_setscheduler`).
fn set_scheduler(cx: &Cx<'_>, task: &Arc<Task>, new: SchedParams) -> Result<()> {
    let real_time = new.policy.is_real_time();
    ensure!(
        new.rt_priority <= 99 && real_time == (new.rt_priority != 0),
        EINVAL,
        "the priority does not fit the policy"
    );
    let old = task.sched.params();
    let cred = cx.task.cred();
    let raises_nice = !real_time && new.nice < old.nice && !can_nice(&cred, task, new.nice.into());
    let limit = task.group().rlimit(Resource::RTPRIO).cur;
    let raises_rt = real_time
        && (new.policy != old.policy && limit == 0
            || new.rt_priority > old.rt_priority && u64::from(new.rt_priority) > limit);
    let leaves_idle =
        old.policy == Policy::Idle && new.policy != Policy::Idle && !can_nice(&cred, task, old.nice.into());
    let drops_reset = old.reset_on_fork && !new.reset_on_fork;
    if raises_nice || raises_rt || leaves_idle || drops_reset || !same_owner(&cred, task) {
        ensure!(
            cred.capable(Capability::SYS_NICE),
            EPERM,
            "sched_setscheduler: limits, and no CAP_SYS_NICE"
        );
    }
    cx.kernel.sched.set_params(task, new);
    if task.pi.is_member() {
        cx.kernel.pi_futexes.lock().adjust(task);
    }
    Ok(())
}

fn set_param(cx: &Cx<'_>, pid: i32, policy: Option<i32>, param: UserInPtr<SchedParam>) -> Result<usize> {
    ensure!(
        !param.is_null() && pid >= 0,
        EINVAL,
        "no parameters, or a negative pid"
    );
    let param = param.read(cx)?;
    let task = find(cx, pid)?;
    let old = task.sched.params();
    let (policy, reset) = match policy {
        Some(policy) => {
            let reset = policy as u32 & SCHED_RESET_ON_FORK != 0;
            let policy = Policy::from_nr(policy as u32 & !SCHED_RESET_ON_FORK);
            (policy.ok_or(err!(EINVAL, "no such policy"))?, reset)
        }
        None => (old.policy, old.reset_on_fork),
    };
    let Ok(rt_priority) = u8::try_from(param.priority) else {
        bail!(EINVAL, "priority out of range");
    };
    let new = SchedParams {
        policy,
        rt_priority,
        nice: old.nice,
        reset_on_fork: reset,
    };
    set_scheduler(cx, &task, new)?;
    Ok(0)
}

/// `sched_setparam(2)`.
pub fn sched_setparam(cx: &mut Cx<'_>, pid: i32, param: UserInPtr<abi::SchedParam>) -> Result<usize> {
    set_param(cx, pid, None, param)
}

/// `sched_getparam(2)`.
pub fn sched_getparam(cx: &mut Cx<'_>, pid: i32, param: UserOutPtr<abi::SchedParam>) -> Result<usize> {
    ensure!(
        !param.is_null() && pid >= 0,
        EINVAL,
        "no parameters, or a negative pid"
    );
    let params = find(cx, pid)?.sched.params();
    param.write(
        cx,
        &SchedParam {
            priority: params.rt_priority.into(),
        },
    )?;
    Ok(0)
}

/// `sched_setscheduler(2)`.
pub fn sched_setscheduler(
    cx: &mut Cx<'_>,
    pid: i32,
    policy: i32,
    param: UserInPtr<abi::SchedParam>,
) -> Result<usize> {
    ensure!(policy >= 0, EINVAL, "no such policy");
    set_param(cx, pid, Some(policy), param)
}

/// `sched_getscheduler(2)`.
pub fn sched_getscheduler(cx: &mut Cx<'_>, pid: i32) -> Result<usize> {
    ensure!(pid >= 0, EINVAL, "a negative pid");
    let params = find(cx, pid)?.sched.params();
    let reset = if params.reset_on_fork {
        SCHED_RESET_ON_FORK
    } else {
        0
    };
    Ok((params.policy as u32 | reset) as usize)
}

/// `sched_get_priority_max(2)`.
pub fn sched_get_priority_max(_cx: &mut Cx<'_>, policy: i32) -> Result<usize> {
    priority_limit(policy, 99)
}

/// `sched_get_priority_min(2)`.
pub fn sched_get_priority_min(_cx: &mut Cx<'_>, policy: i32) -> Result<usize> {
    priority_limit(policy, 1)
}

/// The numbers are those of Linux, for which SCHED_DEADLINE is a policy whether it is there or not.
fn priority_limit(policy: i32, real_time: usize) -> Result<usize> {
    if policy == SCHED_DEADLINE {
        return Ok(0);
    }
    match u32::try_from(policy).ok().and_then(Policy::from_nr) {
        Some(policy) if policy.is_real_time() => Ok(real_time),
        Some(_) => Ok(0),
        None => bail!(EINVAL, "no such policy"),
    }
}

/// `sched_rr_get_interval(2)`.
pub fn sched_rr_get_interval(cx: &mut Cx<'_>, pid: i32, tp: UserOutPtr<abi::Timespec>) -> Result<usize> {
    ensure!(pid >= 0, EINVAL, "a negative pid");
    let task = find(cx, pid)?;
    let interval = match task.sched.params().policy {
        Policy::Rr => cx.kernel.sysctl.rt_bandwidth.timeslice(),
        Policy::Fifo => 0,
        _ => cx.kernel.sched.fair_slice(&task),
    };
    tp.write(cx, &Timespec::from_nanos(interval as i64))?;
    Ok(0)
}

/// `sched_setaffinity(2)`. CPUs that there are not are ignored; if none is left, `EINVAL`.
pub fn sched_setaffinity(cx: &mut Cx<'_>, pid: i32, cpusetsize: usize, mask: UserInPtr<u8>) -> Result<usize> {
    let mut bytes = [0; 8];
    let len = cpusetsize.min(8);
    cx.hal().copy_from_user(&mut bytes[..len], mask.addr())?;
    let mask = CpuMask(u64::from_le_bytes(bytes));
    let task = find(cx, pid)?;
    let cred = cx.task.cred();
    ensure!(
        owns(&cred, &task),
        EPERM,
        "another user's process, and no CAP_SYS_NICE"
    );
    let mask = mask.and(task.cpuset_cpus_allowed());
    ensure!(
        !mask.is_empty(),
        EINVAL,
        "no such CPU, or none that the cpuset has"
    );
    cx.kernel.sched.set_affinity(&task, mask);
    Ok(0)
}

/// `sched_getaffinity(2)`: returns the bytes written.
pub fn sched_getaffinity(
    cx: &mut Cx<'_>,
    pid: i32,
    cpusetsize: usize,
    mask: UserOutPtr<u8>,
) -> Result<usize> {
    // The length is an unsigned int, and its bits are what counts.
    let len = cpusetsize as u32 as usize;
    let nr_cpus = cx.kernel.hal.nr_cpus();
    ensure!(
        (len as u32).wrapping_mul(8) as usize >= nr_cpus,
        EINVAL,
        "too short for all CPUs"
    );
    ensure!(len.is_multiple_of(8), EINVAL, "not a multiple of a long");
    let task = find(cx, pid)?;
    let allowed = task.sched.affinity().and(cx.kernel.sched.cpu_mask());
    mask.write_slice(cx, &allowed.0.to_le_bytes())?;
    Ok(8)
}

/// `getcpu(2)`.
pub fn getcpu(
    cx: &mut Cx<'_>,
    cpu: UserOutPtr<u32>,
    node: UserOutPtr<u32>,
    _cache: UserAddr,
) -> Result<usize> {
    cpu.write_opt(cx, &cx.kernel.sched.current_cpu().0)?;
    node.write_opt(cx, &0)?;
    Ok(0)
}

/// Bytes of the first `sched_attr` there was.
const SCHED_ATTR_SIZE_VER0: u32 = 48;

/// Reads a `sched_attr` of the size that it claims (Linux's `sched_copy_attr`).
fn read_attr(cx: &Cx<'_>, at: UserAddr) -> Result<SchedAttr> {
    let known = size_of::<SchedAttr>();
    let size_ptr = UserPtr::<u32>::new(at);
    let mut size = size_ptr.read(cx)?;
    if size == 0 {
        size = SCHED_ATTR_SIZE_VER0;
    }
    let too_big = || {
        // Tells what there is.
        size_ptr.write(cx, &(known as u32))?;
        bail!(E2BIG, "sched_attr of another size")
    };
    if size < SCHED_ATTR_SIZE_VER0 || size as usize > linux_object::ids::PAGE_SIZE {
        return too_big();
    }
    let bytes = UserInPtr::<u8>::new(at).read_bytes(cx, size as usize)?;
    if bytes.iter().skip(known).any(|byte| *byte != 0) {
        return too_big();
    }
    let mut attr = SchedAttr::default();
    let len = bytes.len().min(known);
    zerocopy::IntoBytes::as_mut_bytes(&mut attr)[..len].copy_from_slice(&bytes[..len]);
    attr.size = size;
    Ok(attr)
}

/// `sched_setattr(2)`. Utilisation clamps are not there.
pub fn sched_setattr(cx: &mut Cx<'_>, pid: i32, attr: UserPtr<abi::SchedAttr>, flags: u32) -> Result<usize> {
    ensure!(
        !attr.is_null() && pid >= 0 && flags == 0,
        EINVAL,
        "no attributes, a negative pid, or flags"
    );
    let attr = read_attr(cx, attr.addr())?;
    ensure!(attr.policy as i32 >= 0, EINVAL, "no such policy");
    let task = find(cx, pid)?;
    let old = task.sched.params();
    let known = SCHED_FLAG_RESET_ON_FORK | SCHED_FLAG_KEEP_POLICY | SCHED_FLAG_KEEP_PARAMS;
    let policy = if attr.flags & SCHED_FLAG_KEEP_POLICY != 0 {
        Some(old.policy)
    } else {
        Policy::from_nr(attr.policy)
    };
    let policy = policy.ok_or(err!(EINVAL, "no such policy"))?;
    ensure!(attr.flags & !known == 0, EINVAL, "unknown flags");
    let reset_on_fork = attr.flags & SCHED_FLAG_RESET_ON_FORK != 0;
    let mut new = SchedParams {
        policy,
        reset_on_fork,
        ..old
    };
    if attr.flags & SCHED_FLAG_KEEP_PARAMS == 0 {
        ensure!(attr.priority <= 99, EINVAL, "priority out of range");
        new.rt_priority = attr.priority as u8;
        if !policy.is_real_time() {
            new.nice = attr.nice.clamp(*NICE_RANGE.start(), *NICE_RANGE.end()) as i8;
        }
    }
    set_scheduler(cx, &task, new)?;
    Ok(0)
}

/// `sched_getattr(2)`.
pub fn sched_getattr(
    cx: &mut Cx<'_>,
    pid: i32,
    attr: UserOutPtr<abi::SchedAttr>,
    size: u32,
    flags: u32,
) -> Result<usize> {
    ensure!(
        !attr.is_null()
            && pid >= 0
            && (SCHED_ATTR_SIZE_VER0..=linux_object::ids::PAGE_SIZE as u32).contains(&size)
            && flags == 0,
        EINVAL,
        "no attributes, a negative pid, a bad size, or flags"
    );
    let params = find(cx, pid)?.sched.params();
    let len = (size as usize).min(size_of::<SchedAttr>());
    let answer = SchedAttr {
        size: len as u32,
        policy: params.policy as u32,
        flags: if params.reset_on_fork {
            SCHED_FLAG_RESET_ON_FORK
        } else {
            0
        },
        nice: if params.policy.is_real_time() {
            0
        } else {
            params.nice.into()
        },
        priority: params.rt_priority.into(),
        ..SchedAttr::default()
    };
    let bytes = zerocopy::IntoBytes::as_bytes(&answer);
    UserOutPtr::<u8>::new(attr.addr()).write_slice(cx, &bytes[..len])?;
    Ok(0)
}

const MEMBARRIER_CMD_QUERY: i32 = 0;
const MEMBARRIER_CMD_GLOBAL: i32 = 1 << 0;
const MEMBARRIER_CMD_GLOBAL_EXPEDITED: i32 = 1 << 1;
const MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED: i32 = 1 << 2;
const MEMBARRIER_CMD_PRIVATE_EXPEDITED: i32 = 1 << 3;
const MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED: i32 = 1 << 4;
const MEMBARRIER_CMD_PRIVATE_EXPEDITED_SYNC_CORE: i32 = 1 << 5;
const MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_SYNC_CORE: i32 = 1 << 6;
const MEMBARRIER_CMD_PRIVATE_EXPEDITED_RSEQ: i32 = 1 << 7;
const MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_RSEQ: i32 = 1 << 8;
const MEMBARRIER_COMMANDS: i32 = (1 << 9) - 1;

const MEMBARRIER_CMD_FLAG_CPU: u32 = 1;

/// `membarrier(2)`. Every barrier is made by all CPUs that run something, so registering only counts as
/// permission for the private kinds; it belongs to the address space.
pub fn membarrier(cx: &mut Cx<'_>, cmd: i32, flags: u32, cpu_id: i32) -> Result<usize> {
    let one_cpu = cmd == MEMBARRIER_CMD_PRIVATE_EXPEDITED_RSEQ && flags == MEMBARRIER_CMD_FLAG_CPU;
    ensure!(flags == 0 || one_cpu, EINVAL, "membarrier: unknown flags");
    let mm = cx.task.mm();
    let registered = |cmd: i32| mm.membarrier.load(Ordering::Relaxed) & cmd as u32 != 0;
    match cmd {
        MEMBARRIER_CMD_QUERY => return Ok(MEMBARRIER_COMMANDS as usize),
        MEMBARRIER_CMD_GLOBAL | MEMBARRIER_CMD_GLOBAL_EXPEDITED => {}
        MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED
        | MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED
        | MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_SYNC_CORE
        | MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_RSEQ => {
            // The command that is allowed is the bit before.
            mm.membarrier.fetch_or(cmd as u32 >> 1, Ordering::Relaxed);
            return Ok(0);
        }
        MEMBARRIER_CMD_PRIVATE_EXPEDITED
        | MEMBARRIER_CMD_PRIVATE_EXPEDITED_SYNC_CORE
        | MEMBARRIER_CMD_PRIVATE_EXPEDITED_RSEQ => {
            ensure!(registered(cmd), EPERM, "membarrier: not registered");
        }
        _ => bail!(EINVAL, "membarrier: no such command"),
    }
    let sched = &cx.kernel.sched;
    match cmd {
        MEMBARRIER_CMD_PRIVATE_EXPEDITED_SYNC_CORE => sched.interrupt_fence(None, false),
        MEMBARRIER_CMD_PRIVATE_EXPEDITED_RSEQ => {
            let only = (one_cpu && cpu_id >= 0).then_some(CpuId(cpu_id as u32));
            // A CPU that is not there runs nothing.
            if only.is_none_or(|cpu| sched.cpu_mask().contains(cpu)) {
                sched.interrupt_fence(only, true);
            }
        }
        _ => sched.barrier(),
    }
    Ok(0)
}
