//! Tasks as those for whom memory is mapped; faults of their user code.

use alloc::sync::Arc;
use core::sync::atomic::Ordering;

use super::{Fault, MmQuota};
use crate::cred::Capability;
use crate::error::Result;
use crate::hal::Access;
use crate::ids::{USER_END, UserAddr};
use crate::kernel::Kernel;
use crate::task::signal::force_fault;
use crate::task::{Resource, SigInfo, SigInfoFields, Signal, Task, si_code};

impl MmQuota for Task {
    fn limit_as(&self) -> u64 {
        self.group().rlimit(Resource::AS).cur
    }
    fn limit_data(&self) -> u64 {
        self.group().rlimit(Resource::DATA).cur
    }
    fn limit_stack(&self) -> u64 {
        self.group().rlimit(Resource::STACK).cur
    }
    fn limit_memlock(&self) -> u64 {
        self.group().rlimit(Resource::MEMLOCK).cur
    }
    fn capable(&self, cap: Capability) -> bool {
        self.cred().capable(cap)
    }
    fn personality(&self) -> u32 {
        self.personality.load(Ordering::Relaxed)
    }
}

/// `X86_TRAP_PF`, in signal frames.
const TRAP_PF: i32 = 14;

fn fault(task: &Task, addr: UserAddr, access: Access) -> Result<(), Fault> {
    // The task alone counts its faults.
    let count = &task.acct.min_flt;
    count.store(count.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
    match task.fault_mm() {
        Some(mm) => mm.handle_fault(task, addr, access),
        None => Err(Fault::Segv(si_code::SEGV_MAPERR)),
    }
}

/// Serves a page fault of user code, or sends the signal that it causes (Linux's
/// `do_user_addr_fault`). Out of memory, somebody is killed and the access is made again, unless
/// the task itself was chosen.
pub fn handle_user_fault(task: &Arc<Task>, addr: UserAddr, access: Access, present: bool) {
    task.memory.set_in_user_fault(true);
    let served = fault(task, addr, access);
    task.memory.set_in_user_fault(false);
    let (signal, code) = match served {
        Ok(()) => return,
        Err(Fault::Segv(code)) => (Signal::SEGV, code),
        Err(Fault::Bus(code)) => (Signal::BUS, code),
        Err(Fault::Oom) => {
            super::oom::user_fault_out_of_memory(task);
            return;
        }
    };
    task.last_trap
        .set_page_fault(addr.0, error_code(addr, access, present));
    let fields = SigInfoFields::Fault {
        addr,
        trapno: TRAP_PF,
    };
    let info = SigInfo {
        signal,
        errno: 0,
        code,
        fields,
    };
    force_fault(task, info);
}

/// The error code of a page fault of user code (Intel SDM vol. 3, 4.7). Where the kernel's own half begins, user
/// code is told nothing but that it may not.
fn error_code(addr: UserAddr, access: Access, present: bool) -> u64 {
    const PRESENT: u64 = 1 << 0;
    const WRITE: u64 = 1 << 1;
    const USER: u64 = 1 << 2;
    const INSTRUCTION: u64 = 1 << 4;
    let how = match access {
        Access::Read => 0,
        Access::Write => WRITE,
        Access::Exec => INSTRUCTION,
    };
    let protection = present || addr.0 >= USER_END;
    USER | how | if protection { PRESENT } else { 0 }
}

impl Kernel {
    /// A page fault that a copy to or from user memory took, of the running task. An error ends
    /// the copy with `EFAULT`. Locks may be held, so nobody is killed here: that happens when the call
    /// is over, see [`super::oom`].
    pub fn user_fault(&self, addr: UserAddr, access: Access, _present: bool) -> Result<()> {
        let task = self.sched.current();
        match fault(&task, addr, access) {
            Ok(()) => Ok(()),
            Err(Fault::Oom) => {
                super::oom::note_machine_oom(&task);
                crate::bail!(ENOMEM, "no memory for a page that is copied to")
            }
            Err(_) => crate::bail!(EFAULT, "not mapped, or not so"),
        }
    }
}
