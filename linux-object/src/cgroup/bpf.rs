//! Device programs at cgroups (`bpf(2)`, `cgroup-v2.rst`, "Device controller").
//!
//! Model: a cgroup has programs of its own and a mode, none, override or multi. Which programs decide about a
//! task in it, the *effective* ones, follows from its own and its ancestors': the nearest cgroup that has any counts,
//! and above it all in mode multi. Every one of them must say yes.
//!
//! The effective programs are computed when something is attached, for the whole subtree, so that a check is one look
//! at the cgroup, and at one flag where there are none. A cgroup that is removed lets go of its programs at once.
//!
//! Locks: attachments change under [`CgroupMembership`]; lists are `class::Leaf`, and programs are
//! dropped after it.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, Ordering};

use super::{Cgroup, CgroupMembership};
use crate::bpf::{CONTEXT_SIZE, Env, Helper, Prog};
use crate::error::{Errno, Error, Result};
use crate::fs::DevT;
use crate::sync::{SpinLock, class};
use crate::task::Task;
use crate::{bail, ensure};

/// Most programs of a cgroup (`BPF_CGROUP_MAX_PROGS`).
const MAX_PROGS: usize = 64;

bitflags::bitflags! {
    /// How a program is attached (`BPF_F_*`).
    #[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
    pub struct AttachFlags: u32 {
        /// Those below may have one of their own, which counts instead.
        const ALLOW_OVERRIDE = 1;
        /// There may be several here, and those below come in addition.
        const ALLOW_MULTI = 2;
        /// In the place of another.
        const REPLACE = 4;
    }
}

impl AttachFlags {
    /// What stays with the cgroup.
    const MODE: AttachFlags = AttachFlags::ALLOW_OVERRIDE.union(AttachFlags::ALLOW_MULTI);
}

type Progs = Vec<Arc<Prog>>;

/// Programs of a cgroup's own.
#[derive(Clone, Default)]
struct Attached {
    progs: Progs,
    mode: AttachFlags,
}

impl Attached {
    fn is_multi(&self) -> bool {
        self.mode.contains(AttachFlags::ALLOW_MULTI)
    }
    /// Whether those below may have programs, as far as this cgroup has a say (Linux's `hierarchy_allows_attach`).
    fn lets_below(&self) -> Option<bool> {
        if self.is_multi() {
            return Some(true);
        }
        (!self.progs.is_empty()).then(|| self.mode.contains(AttachFlags::ALLOW_OVERRIDE))
    }
    fn position(&self, prog: &Arc<Prog>) -> Option<usize> {
        self.progs.iter().position(|own| Arc::ptr_eq(own, prog))
    }

    /// With one more program (Linux's `__cgroup_bpf_attach`).
    fn with(&self, prog: &Arc<Prog>, replaced: Option<&Arc<Prog>>, flags: AttachFlags) -> Result<Attached> {
        let mode = flags & AttachFlags::MODE;
        ensure!(
            self.progs.is_empty() || self.mode == mode,
            EPERM,
            "BPF_PROG_ATTACH: attached programs have another mode"
        );
        ensure!(
            self.progs.len() < MAX_PROGS,
            E2BIG,
            "BPF_PROG_ATTACH: too many programs"
        );
        let mut new = Attached {
            progs: self.progs.clone(),
            mode,
        };
        if !mode.contains(AttachFlags::ALLOW_MULTI) {
            new.progs.clear();
            new.progs.push(prog.clone());
            return Ok(new);
        }
        let twice = new.position(prog).is_some() && replaced.is_none_or(|old| !Arc::ptr_eq(old, prog));
        ensure!(!twice, EINVAL, "BPF_PROG_ATTACH: it is attached");
        match replaced {
            None => new.progs.push(prog.clone()),
            Some(old) => match new.position(old) {
                Some(at) => new.progs[at] = prog.clone(),
                None => bail!(ENOENT, "BPF_PROG_ATTACH: what is to be replaced is not attached"),
            },
        }
        Ok(new)
    }
    /// With one program less (Linux's `__cgroup_bpf_detach`).
    fn without(&self, prog: Option<&Arc<Prog>>) -> Result<Attached> {
        let at = match (self.is_multi(), prog) {
            (false, _) => (!self.progs.is_empty()).then_some(0),
            (true, Some(prog)) => self.position(prog),
            (true, None) => bail!(EINVAL, "BPF_PROG_DETACH: one of several needs a descriptor"),
        };
        let Some(at) = at else {
            bail!(ENOENT, "BPF_PROG_DETACH: it is not attached")
        };
        let mut new = self.clone();
        new.progs.remove(at);
        if new.progs.is_empty() {
            new.mode = AttachFlags::empty();
        }
        Ok(new)
    }
}

/// The programs that decide, given the attachments from a cgroup up to the root.
fn effective<'a>(upwards: impl Iterator<Item = &'a Attached>) -> Progs {
    let mut all = Progs::new();
    for attached in upwards {
        if all.is_empty() || attached.is_multi() {
            all.extend(attached.progs.iter().cloned());
        }
    }
    all
}

/// What a cgroup keeps.
#[derive(Default)]
pub(super) struct CgroupBpf {
    attached: SpinLock<Attached, class::Leaf>,
    /// Whether there are effective programs: what each check looks at.
    active: AtomicBool,
    effective: SpinLock<Option<Arc<Progs>>, class::Leaf>,
}

impl CgroupBpf {
    fn attached(&self) -> Attached {
        self.attached.lock().clone()
    }
    fn set_effective(&self, progs: Progs) {
        let new = (!progs.is_empty()).then(|| Arc::new(progs));
        self.active.store(new.is_some(), Ordering::Release);
        let old = core::mem::replace(&mut *self.effective.lock(), new);
        drop(old);
    }
    fn effective(&self) -> Option<Arc<Progs>> {
        if !self.active.load(Ordering::Acquire) {
            return None;
        }
        self.effective.lock().clone()
    }
}

/// What `BPF_PROG_QUERY` tells.
pub struct Query {
    /// The mode; none where effective programs are asked for.
    pub flags: AttachFlags,
    /// The programs, in the order in which they are asked.
    pub progs: Progs,
}

impl Cgroup {
    /// The programs that are attached here, or that decide here.
    pub fn bpf_query(&self, effective: bool) -> Query {
        if effective {
            let progs = self
                .bpf
                .effective()
                .map_or_else(Vec::new, |progs| (*progs).clone());
            return Query {
                flags: AttachFlags::empty(),
                progs,
            };
        }
        let attached = self.bpf.attached();
        Query {
            flags: attached.mode,
            progs: attached.progs,
        }
    }
    fn compute_effective(self: &Arc<Cgroup>) -> Progs {
        let chain: Vec<Attached> = self.self_and_ancestors().map(|at| at.bpf.attached()).collect();
        effective(chain.iter())
    }
    /// A new cgroup: its ancestors' programs decide about it.
    pub(super) fn bpf_online(self: &Arc<Cgroup>, parent: &Cgroup) {
        if parent.bpf.active.load(Ordering::Acquire) {
            self.bpf.set_effective(self.compute_effective());
        }
    }
    /// A removed one gives its programs back.
    pub(super) fn bpf_offline(&self) {
        self.bpf.set_effective(Progs::new());
        let old = core::mem::take(&mut *self.bpf.attached.lock());
        drop(old);
    }
}

impl CgroupMembership {
    /// Attaches a program, perhaps in the place of `replaced`.
    pub fn bpf_attach(
        &mut self,
        cgroup: &Arc<Cgroup>,
        prog: &Arc<Prog>,
        replaced: Option<&Arc<Prog>>,
        flags: AttachFlags,
    ) -> Result<()> {
        let both = flags.contains(AttachFlags::MODE);
        let lonely = flags.contains(AttachFlags::REPLACE) && !flags.contains(AttachFlags::ALLOW_MULTI);
        ensure!(
            !both && !lonely && replaced.is_some() == flags.contains(AttachFlags::REPLACE),
            EINVAL,
            "BPF_PROG_ATTACH: flags that contradict each other"
        );
        ensure!(!cgroup.is_dead(), ENOENT, "BPF_PROG_ATTACH: the cgroup is gone");
        let mut above = cgroup.self_and_ancestors().skip(1);
        let allowed = above.find_map(|above| above.bpf.attached.lock().lets_below());
        ensure!(
            allowed.unwrap_or(true),
            EPERM,
            "BPF_PROG_ATTACH: an ancestor's program may not be overridden"
        );
        let new = cgroup.bpf.attached().with(prog, replaced, flags)?;
        self.bpf_set(cgroup, new);
        Ok(())
    }
    /// Detaches a program; in the modes of one program, whichever it is.
    pub fn bpf_detach(&mut self, cgroup: &Arc<Cgroup>, prog: Option<&Arc<Prog>>) -> Result<()> {
        let new = cgroup.bpf.attached().without(prog)?;
        self.bpf_set(cgroup, new);
        Ok(())
    }
    fn bpf_set(&mut self, cgroup: &Arc<Cgroup>, new: Attached) {
        let old = core::mem::replace(&mut *cgroup.bpf.attached.lock(), new);
        for below in cgroup.subtree() {
            below.bpf.set_effective(below.compute_effective());
        }
        drop(old);
    }
}

/// A run of a program in the context of a task.
struct DeviceEnv<'a> {
    task: &'a Task,
    cgroup: &'a Cgroup,
    retval: i32,
}

impl Env for DeviceEnv<'_> {
    fn call(&mut self, helper: Helper, argument: u64) -> u64 {
        let kernel = self.task.kernel();
        match helper {
            Helper::KtimeGetNs | Helper::KtimeGetBootNs => kernel.time.now().0,
            Helper::GetPrandomU32 => u64::from(kernel.rng.next_u64() as u32),
            Helper::GetSmpProcessorId => u64::from(kernel.hal.current_cpu().0),
            Helper::GetCurrentPidTgid => {
                let init = &kernel.init_ns.pid_ns;
                let nr = |task: &Task| task.pid().nr_in(init).0 as u32;
                let pid = nr(self.task);
                let tgid = self.task.group().leader().map_or(pid, |leader| nr(&leader));
                u64::from(tgid) << 32 | u64::from(pid)
            }
            Helper::GetCurrentUidGid => {
                let cred = self.task.cred();
                u64::from(cred.gid.0) << 32 | u64::from(cred.uid.0)
            }
            Helper::GetCurrentCgroupId => self.cgroup.id(),
            Helper::GetRetval => self.retval as i64 as u64,
            Helper::SetRetval => {
                self.retval = argument as i32;
                0
            }
            Helper::GetNumaNodeId | Helper::GetCurrentComm => 0,
        }
    }
    fn comm(&self) -> [u8; 16] {
        self.task.comm()
    }
}

/// Asks the programs about a device: `kind` is `BPF_DEVCG_DEV_*`, `access` are `BPF_DEVCG_ACC_*`.
pub(super) fn check_device(task: &Task, kind: u32, dev: DevT, access: u32) -> Result<()> {
    let set = task.css_set();
    let cgroup = set.dfl_cgroup();
    let Some(progs) = cgroup.bpf.effective() else {
        return Ok(());
    };
    let mut context = [0; CONTEXT_SIZE];
    for (word, value) in context
        .chunks_exact_mut(4)
        .zip([access << 16 | kind, dev.major(), dev.minor()])
    {
        word.copy_from_slice(&value.to_le_bytes());
    }
    let mut env = DeviceEnv {
        task,
        cgroup,
        retval: 0,
    };
    for prog in progs.iter() {
        let allowed = prog.run(&context, &mut env) != 0;
        if !allowed && !is_error(env.retval) {
            env.retval = -(Errno::EPERM as i32);
        }
    }
    match env.retval {
        0 => Ok(()),
        error if is_error(error) => {
            Err(Errno::from_number(-error)
                .map_or(crate::err!(EPERM, "a device program forbids it"), Error::from))
        }
        // Linux takes any other number for an error, too.
        _ => bail!(EPERM, "a device program forbids it"),
    }
}

/// Linux's `IS_ERR_VALUE`.
fn is_error(value: i32) -> bool {
    (-4095..0).contains(&value)
}
