//! System calls: `uname`, host and domain name, `unshare`, `setns` (`namespaces(7)`).

use alloc::sync::Arc;
use core::sync::atomic::Ordering;

use linux_object::cred::{Capability, Cred};
use linux_object::error::Result;
use linux_object::fs::nsfs::namespace_of;
use linux_object::fs::procfs::access::{PtraceMode, ptrace_may_access};
use linux_object::ids::Fd;
use linux_object::namespace::{
    MACHINE, Name, Namespace, NsKind, NsSet, RELEASE, SYSNAME, UserNamespace, VERSION,
};
use linux_object::task::PidFd;
use linux_object::task::clone::CloneFlags;
use linux_object::{bail, ensure, err};

use crate::abi;
use crate::context::Cx;
use crate::user_ptr::{UserInPtr, UserOutPtr};

/// `UNAME26` of `personality(2)`: programs that expect a version 2.6.
const UNAME26: u32 = 0x0002_0000;
/// Longest host and domain name.
const NEW_UTS_LEN: i32 = 64;

/// `uname(2)`.
pub fn uname(cx: &mut Cx<'_>, buf: UserOutPtr<abi::UtsName>) -> Result<usize> {
    const fn field(text: &str) -> [u8; 65] {
        *Name::new(text.as_bytes()).padded()
    }
    static SYSTEM: abi::UtsName = abi::UtsName {
        sysname: field(SYSNAME),
        nodename: [0; 65],
        release: field(RELEASE),
        version: field(VERSION),
        machine: field(MACHINE),
        domainname: [0; 65],
    };
    let mut out = SYSTEM;
    let nsproxy = cx.task.nsproxy();
    nsproxy.uts_ns.with_names(|names| {
        out.nodename = *names.node.padded();
        out.domainname = *names.domain.padded();
    });
    if cx.task.personality.load(Ordering::Relaxed) & UNAME26 != 0 {
        out.release = field(&release_26());
    }
    buf.write(cx, &out)?;
    Ok(0)
}

/// Version 6.x as 2.6.(60+x), with what follows the numbers.
fn release_26() -> alloc::string::String {
    let rest = RELEASE.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
    let minor = RELEASE
        .split('.')
        .nth(1)
        .and_then(|text| text.parse::<u32>().ok());
    alloc::format!("2.6.{}{rest}", minor.unwrap_or(0) + 60)
}

fn set_name(cx: &Cx<'_>, name: UserInPtr<u8>, len: i32, host: bool) -> Result<usize> {
    let ns = cx.task.nsproxy().uts_ns.clone();
    ensure!(
        cx.task.cred().ns_capable(ns.user_ns(), Capability::SYS_ADMIN),
        EPERM,
        "sethostname: no CAP_SYS_ADMIN in the owner of the UTS namespace"
    );
    ensure!(
        (0..=NEW_UTS_LEN).contains(&len),
        EINVAL,
        "sethostname: 0 to 64 bytes"
    );
    let name = Name::new(&name.read_bytes(cx, len as usize)?);
    ns.update(|names| {
        if host {
            names.node = name;
        } else {
            names.domain = name;
        }
    });
    Ok(0)
}

/// `sethostname(2)`.
pub fn sethostname(cx: &mut Cx<'_>, name: UserInPtr<u8>, len: i32) -> Result<usize> {
    set_name(cx, name, len, true)
}

/// `setdomainname(2)`.
pub fn setdomainname(cx: &mut Cx<'_>, name: UserInPtr<u8>, len: i32) -> Result<usize> {
    set_name(cx, name, len, false)
}

/// `unshare(2)`: everything is prepared first; the last part cannot fail.
pub fn unshare(cx: &mut Cx<'_>, flags: u64) -> Result<usize> {
    use CloneFlags as F;
    let task = cx.task;
    let allowed = F::NSPROXY | F::NEWUSER | F::THREAD | F::FS | F::SIGHAND | F::VM | F::FILES | F::SYSVSEM;
    ensure!(flags & !allowed.bits() == 0, EINVAL, "unshare: unknown flags");
    let mut flags = F::from_bits_retain(flags);
    if flags.contains(F::NEWUSER) {
        UserNamespace::check_unprivileged(task)?;
    }
    if flags.contains(F::NEWUSER) {
        flags |= F::THREAD | F::FS;
    }
    if flags.contains(F::VM) {
        flags |= F::SIGHAND;
    }
    if flags.contains(F::SIGHAND) {
        flags |= F::THREAD;
    }
    if flags.contains(F::NEWNS) {
        flags |= F::FS;
    }
    if flags.intersects(F::THREAD | F::SIGHAND | F::VM) {
        ensure!(
            task.group().nr_threads() == 1,
            EINVAL,
            "unshare: a process with several threads"
        );
    }
    if flags.intersects(F::SIGHAND | F::VM) {
        // One reference is the process's, one is ours.
        ensure!(
            Arc::strong_count(&task.group().sighand()) <= 2,
            EINVAL,
            "unshare: handlers or memory are shared with another process"
        );
    }
    if flags.contains(F::VM) {
        ensure!(
            task.try_mm().is_none_or(|mm| Arc::strong_count(&mm) <= 2),
            EINVAL,
            "unshare: the memory is shared with another process"
        );
    }
    let fs = task.fs();
    // A new mount namespace moves root and working directory: that is done on a copy.
    let new_fs = if flags.contains(F::NEWNS) || flags.contains(F::FS) && fs.users.load(Ordering::Acquire) > 1
    {
        Some(fs.fork())
    } else {
        None
    };
    let files = task.files();
    let new_files = if flags.contains(F::FILES) && files.users.load(Ordering::Acquire) > 1 {
        Some(files.fork()?)
    } else {
        None
    };
    let new_cred: Option<Cred> = if flags.contains(F::NEWUSER) {
        let mut cred = (*task.cred()).clone();
        cred.enter_user_ns(UserNamespace::create(task, &cred)?);
        Some(cred)
    } else {
        None
    };
    let nsproxy = task.nsproxy();
    let new_nsproxy = nsproxy.unshare(task, flags, new_cred.as_ref(), new_fs.as_deref())?;

    if flags.intersects(F::NEWIPC | F::SYSVSEM) {
        task.exit_sem();
    }
    if flags.contains(F::NEWIPC) {
        task.exit_shm();
    }
    if let Some(new_nsproxy) = new_nsproxy {
        task.switch_task_namespaces(Some(new_nsproxy));
    }
    if let Some(new_fs) = new_fs {
        let old = task.parts.lock().fs.replace(new_fs);
        if let Some(old) = old {
            old.leave();
        }
    }
    if let Some(new_files) = new_files {
        cx.replace_files(new_files);
    }
    if let Some(new_cred) = new_cred {
        task.commit_creds(new_cred);
    }
    Ok(0)
}

/// `setns(2)`: every namespace is checked first; then all are entered.
pub fn setns(cx: &mut Cx<'_>, fd: Fd, nstype: u64) -> Result<usize> {
    let nstype = u64::from(nstype as u32);
    let file = cx.file(fd)?;
    let set = if let Some(ns) = namespace_of(&*file.inode) {
        let flag = ns.kind().clone_flag();
        ensure!(
            nstype == 0 || nstype == flag,
            EINVAL,
            "setns: a namespace of another type"
        );
        let mut set = NsSet::new(cx.task, CloneFlags::from_bits_retain(flag));
        ns.install(&mut set)?;
        set
    } else if let Some(pid) = PidFd::of(&file) {
        let all = (CloneFlags::NSPROXY | CloneFlags::NEWUSER).bits();
        ensure!(
            nstype != 0 && nstype & !all == 0,
            EINVAL,
            "setns: which namespaces of the process"
        );
        let target = pid.task().ok_or(err!(ESRCH, "the process is gone"))?;
        ptrace_may_access(cx.task, &target, PtraceMode::READ_REALCREDS)?;
        let mut namespaces: alloc::vec::Vec<Arc<dyn Namespace>> = alloc::vec::Vec::new();
        for kind in NsKind::ALL {
            if nstype & kind.clone_flag() != 0 {
                namespaces.push(
                    target
                        .namespace(kind)
                        .ok_or(err!(ESRCH, "the process has ended"))?,
                );
            }
        }
        let mut set = NsSet::new(cx.task, CloneFlags::from_bits_retain(nstype));
        for ns in namespaces {
            ns.install(&mut set)?;
        }
        set
    } else {
        bail!(EINVAL, "setns: neither a namespace nor a pidfd");
    };

    let NsSet {
        cred,
        nsproxy,
        root,
        flags,
        ..
    } = set;
    if flags.contains(CloneFlags::NEWIPC) {
        cx.task.exit_sem();
        cx.task.exit_shm();
    }
    if flags != CloneFlags::NEWUSER {
        cx.task.switch_task_namespaces(Some(Arc::new(nsproxy)));
    }
    if let Some(path) = root {
        cx.task.fs().change(|root, pwd| {
            *root = path.clone();
            *pwd = path.clone();
        });
    }
    if let Some(cred) = cred {
        cx.task.commit_creds(cred);
    }
    Ok(0)
}
