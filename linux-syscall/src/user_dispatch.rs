//! Calls that their thread dispatches itself, before anybody else looks at them (Linux's `syscall_user_dispatch`).

use linux_object::error::Result;
use linux_object::ids::UserAddr;
use linux_object::seccomp::ARCH;
use linux_object::task::signal::{force_fault, force_fault_exit};
use linux_object::task::{SigInfo, SigInfoFields, Signal, UserDispatch, si_code};
use linux_object::{bail, ensure};

use crate::context::Cx;
use crate::user_io::access_ok;
use crate::user_ptr::UserInPtr;

const PR_SYS_DISPATCH_OFF: u64 = 0;
const PR_SYS_DISPATCH_ON: u64 = 1;
const SYSCALL_DISPATCH_FILTER_ALLOW: u8 = 0;
const SYSCALL_DISPATCH_FILTER_BLOCK: u8 = 1;

/// `prctl(PR_SET_SYSCALL_USER_DISPATCH)`.
pub(crate) fn prctl_set(cx: &Cx<'_>, mode: u64, offset: u64, len: u64, selector: UserAddr) -> Result<usize> {
    let dispatch = match mode {
        PR_SYS_DISPATCH_OFF => {
            ensure!(
                offset == 0 && len == 0 && selector.is_null(),
                EINVAL,
                "PR_SYS_DISPATCH_OFF: unused arguments"
            );
            None
        }
        PR_SYS_DISPATCH_ON => {
            let end = offset.wrapping_add(len);
            ensure!(
                offset == 0 || end > offset,
                EINVAL,
                "PR_SYS_DISPATCH_ON: an empty range, or one beyond the end"
            );
            if !selector.is_null() {
                access_ok(selector, 1)?;
            }
            Some(UserDispatch {
                allowed: offset..end,
                selector: (!selector.is_null()).then_some(selector),
            })
        }
        _ => bail!(EINVAL, "PR_SET_SYSCALL_USER_DISPATCH: no such mode"),
    };
    cx.task.set_user_dispatch(dispatch);
    Ok(0)
}

/// Whether the call in the registers is not made: a signal says so, or the selector cannot be used, which is the end.
#[cold]
pub(crate) fn blocks(cx: &mut Cx<'_>) -> bool {
    let Some(dispatch) = cx.task.user_dispatch() else {
        return false;
    };
    if dispatch.allows(cx.regs.rip) {
        return false;
    }
    if let Some(selector) = dispatch.selector {
        match UserInPtr::<u8>::new(selector).read(cx) {
            Ok(SYSCALL_DISPATCH_FILTER_ALLOW) => return false,
            Ok(SYSCALL_DISPATCH_FILTER_BLOCK) => {}
            Ok(_) => {
                force_fault_exit(cx.task, SigInfo::kernel(Signal::SYS));
                return true;
            }
            Err(_) => {
                force_fault_exit(cx.task, SigInfo::kernel(Signal::SEGV));
                return true;
            }
        }
    }
    // The handler finds the number where the call had it.
    cx.regs.rax = cx.regs.orig_rax;
    let info = SigInfo {
        signal: Signal::SYS,
        errno: 0,
        code: si_code::SYS_USER_DISPATCH,
        fields: SigInfoFields::Sys {
            call_addr: UserAddr(cx.regs.rip),
            syscall: cx.regs.orig_rax as i32,
            arch: ARCH,
        },
    };
    force_fault(cx.task, info);
    true
}
