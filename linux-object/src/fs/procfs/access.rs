//! Who may look into whom (Linux's `ptrace_may_access`, `ptrace(2)` "Ptrace access mode checking").

use alloc::sync::Arc;

use crate::bail;
use crate::cred::{Capability, Cred};
use crate::error::Result;
use crate::namespace::UserNamespace;
use crate::task::Task;

/// What is asked for, with which of the caller's ids.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PtraceMode {
    /// Modify, not just look. Both need the same here; security modules could tell them apart.
    pub attach: bool,
    /// With the ids and capabilities of file system access (`PTRACE_MODE_FSCREDS`), else with the real
    /// ones (`PTRACE_MODE_REALCREDS`).
    pub fs_creds: bool,
}

impl PtraceMode {
    /// Look, by file system ids: procfs.
    pub const READ_FSCREDS: PtraceMode = PtraceMode {
        attach: false,
        fs_creds: true,
    };
    /// Look, by real ids: `kcmp`, `get_robust_list`.
    pub const READ_REALCREDS: PtraceMode = PtraceMode {
        attach: false,
        fs_creds: false,
    };
    /// Modify, by file system ids: `/proc/PID/mem`.
    pub const ATTACH_FSCREDS: PtraceMode = PtraceMode {
        attach: true,
        fs_creds: true,
    };
    /// Modify, by real ids: `process_vm_writev`, `pidfd_getfd`.
    pub const ATTACH_REALCREDS: PtraceMode = PtraceMode {
        attach: true,
        fs_creds: false,
    };
}

/// `EPERM` unless `caller` may access `target` in this mode.
pub fn ptrace_may_access(caller: &Arc<Task>, target: &Arc<Task>, mode: PtraceMode) -> Result<()> {
    if Arc::ptr_eq(caller.group(), target.group()) {
        return Ok(());
    }
    let (cred, target_cred) = (caller.cred(), target.cred());
    if !same_ids(&cred, &target_cred, mode) && !cred.ns_capable(&target_cred.user_ns, Capability::SYS_PTRACE)
    {
        bail!(EPERM, "ptrace access: other ids, and no CAP_SYS_PTRACE");
    }
    if let Some(user_ns) = undumpable_in(target)
        && !cred.ns_capable(&user_ns, Capability::SYS_PTRACE)
    {
        bail!(EPERM, "ptrace access: the process is not dumpable");
    }
    let caps = if mode.fs_creds {
        cred.cap_effective
    } else {
        cred.cap_permitted
    };
    let covers = Arc::ptr_eq(&cred.user_ns, &target_cred.user_ns) && caps.contains(target_cred.cap_permitted);
    if !covers && !cred.ns_capable(&target_cred.user_ns, Capability::SYS_PTRACE) {
        bail!(EPERM, "ptrace access: the process has more capabilities");
    }
    Ok(())
}

fn same_ids(cred: &Cred, target: &Cred, mode: PtraceMode) -> bool {
    let (uid, gid) = if mode.fs_creds {
        (cred.fsuid, cred.fsgid)
    } else {
        (cred.uid, cred.gid)
    };
    [target.euid, target.suid, target.uid] == [uid; 3] && [target.egid, target.sgid, target.gid] == [gid; 3]
}

/// The user namespace whose root owns a process that must not be dumped, that is the one in which
/// its program was executed; `None` if it may be dumped.
pub(super) fn undumpable_in(task: &Task) -> Option<Arc<UserNamespace>> {
    let mm = task.try_mm()?;
    (mm.dumpable() != 1).then(|| mm.user_ns().cloned().unwrap_or_else(|| task.user_ns()))
}
