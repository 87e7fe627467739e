//! System calls: `seccomp`, and the ioctls of a listener (`seccomp(2)`, `seccomp_unotify(2)`).

use alloc::vec::Vec;

use linux_object::error::Result;
use linux_object::fs::{OpenFlags, anon_file};
use linux_object::ids::{Fd, UserAddr};
use linux_object::seccomp::{Action, AddFd, FilterFlags, Listener, Outcome, Program, SockFilter, Synced};
use linux_object::time::Ktime;
use linux_object::{bail, ensure};

use crate::context::Cx;
use crate::user_ptr::{UserInPtr, UserOutPtr};
use crate::wait_until::{WaitKind, WaitOn, wait_until};

const SECCOMP_SET_MODE_STRICT: u32 = 0;
const SECCOMP_SET_MODE_FILTER: u32 = 1;
const SECCOMP_GET_ACTION_AVAIL: u32 = 2;
const SECCOMP_GET_NOTIF_SIZES: u32 = 3;

const SECCOMP_MODE_STRICT: u64 = 1;
const SECCOMP_MODE_FILTER: u64 = 2;

const SECCOMP_IOCTL_NOTIF_RECV: u32 = 0xc050_2100;
const SECCOMP_IOCTL_NOTIF_SEND: u32 = 0xc018_2101;
const SECCOMP_IOCTL_NOTIF_ID_VALID: u32 = 0x4008_2102;
/// As the headers of Linux before 5.17 had it.
const SECCOMP_IOCTL_NOTIF_ID_VALID_WRONG_DIR: u32 = 0x8008_2102;
/// Type and number of `SECCOMP_IOCTL_NOTIF_ADDFD`, whose structure may grow.
const NOTIF_ADDFD: u32 = 0x2103;
const SECCOMP_USER_NOTIF_FLAG_CONTINUE: u32 = 1;
const SECCOMP_ADDFD_FLAG_SETFD: u32 = 1;
const SECCOMP_ADDFD_FLAG_SEND: u32 = 2;

/// Most instructions of a program.
const BPF_MAXINSNS: u16 = 4096;

crate::abi! {
    /// `struct sock_fprog`.
    SockFprog[16] { len: u16, pad: [u16; 3], filter: u64, }
    /// `struct sock_filter`.
    RawFilter[8] { code: u16, jt: u8, jf: u8, k: u32, }
    /// `struct seccomp_notif_sizes`.
    NotifSizes[6] { notif: u16, resp: u16, data: u16, }
    /// `struct seccomp_notif`.
    Notif[80] { id: u64, pid: i32, flags: u32, nr: i32, arch: u32, instruction_pointer: u64, args: [u64; 6], }
    /// `struct seccomp_notif_resp`.
    NotifResp[24] { id: u64, val: i64, error: i32, flags: u32, }
    /// `struct seccomp_notif_addfd`.
    NotifAddFd[24] { id: u64, flags: u32, srcfd: u32, newfd: u32, newfd_flags: u32, }
}

/// `seccomp(2)`.
pub fn seccomp(cx: &mut Cx<'_>, op: u32, flags: u32, args: UserAddr) -> Result<usize> {
    match op {
        SECCOMP_SET_MODE_STRICT => {
            ensure!(
                flags == 0 && args.is_null(),
                EINVAL,
                "SECCOMP_SET_MODE_STRICT: takes nothing"
            );
            cx.task.set_seccomp_strict()?;
            Ok(0)
        }
        SECCOMP_SET_MODE_FILTER => set_mode_filter(cx, flags, args),
        SECCOMP_GET_ACTION_AVAIL => {
            ensure!(flags == 0, EINVAL, "SECCOMP_GET_ACTION_AVAIL: no flags");
            let code = UserInPtr::<u32>::new(args).read(cx)?;
            ensure!(
                Action::from_code(code).is_some(),
                EOPNOTSUPP,
                "SECCOMP_GET_ACTION_AVAIL: no such action"
            );
            Ok(0)
        }
        SECCOMP_GET_NOTIF_SIZES => {
            ensure!(flags == 0, EINVAL, "SECCOMP_GET_NOTIF_SIZES: no flags");
            let sizes = NotifSizes {
                notif: size_of::<Notif>() as u16,
                resp: size_of::<NotifResp>() as u16,
                data: linux_object::seccomp::Data::SIZE as u16,
            };
            UserOutPtr::new(args).write(cx, &sizes)?;
            Ok(0)
        }
        _ => bail!(EINVAL, "seccomp: unknown operation"),
    }
}

/// `prctl(PR_SET_SECCOMP)`.
pub fn prctl_set_seccomp(cx: &mut Cx<'_>, mode: u64, filter: UserAddr) -> Result<usize> {
    match mode {
        SECCOMP_MODE_STRICT => seccomp(cx, SECCOMP_SET_MODE_STRICT, 0, UserAddr::NULL),
        SECCOMP_MODE_FILTER => seccomp(cx, SECCOMP_SET_MODE_FILTER, 0, filter),
        _ => bail!(EINVAL, "PR_SET_SECCOMP: unknown mode"),
    }
}

/// Reads and checks a program.
fn read_program(cx: &Cx<'_>, at: UserAddr) -> Result<Program> {
    let prog: SockFprog = UserInPtr::new(at).read(cx)?;
    ensure!(
        prog.len != 0 && prog.len <= BPF_MAXINSNS,
        EINVAL,
        "seccomp: a program has 1 to 4096 instructions"
    );
    cx.task.may_filter()?;
    let raw = UserInPtr::<u8>::new(UserAddr(prog.filter)).read_bytes(cx, usize::from(prog.len) * 8)?;
    let mut code = Vec::new();
    if code.try_reserve_exact(prog.len.into()).is_err() {
        bail!(ENOMEM, "seccomp: no memory for a program");
    }
    for insn in raw.chunks_exact(8) {
        code.push(SockFilter::from_bytes(insn));
    }
    Program::check(&code)
}

fn set_mode_filter(cx: &mut Cx<'_>, flags: u32, args: UserAddr) -> Result<usize> {
    let Some(flags) = FilterFlags::from_bits(flags) else {
        bail!(EINVAL, "SECCOMP_SET_MODE_FILTER: unknown flags");
    };
    let both = FilterFlags::TSYNC | FilterFlags::NEW_LISTENER;
    ensure!(
        !flags.contains(both) || flags.contains(FilterFlags::TSYNC_ESRCH),
        EINVAL,
        "SECCOMP_SET_MODE_FILTER: a listener and TSYNC need TSYNC_ESRCH"
    );
    ensure!(
        !flags.contains(FilterFlags::WAIT_KILLABLE_RECV) || flags.contains(FilterFlags::NEW_LISTENER),
        EINVAL,
        "SECCOMP_SET_MODE_FILTER: WAIT_KILLABLE_RECV is for listeners"
    );
    let program = read_program(cx, args)?;
    let (body, listener) = cx.task.prepare_filter(program, flags)?;
    let files = cx.files().clone();
    let reserved = match listener {
        None => None,
        Some(listener) => {
            let limit = cx.task.nofile();
            let fd = files.reserve(true, 0, limit)?;
            let cred = cx.task.cred();
            Some((
                fd,
                anon_file(cx.kernel, "seccomp notify", listener, OpenFlags::RDWR, cred)?,
            ))
        }
    };
    match cx.task.attach_filter(&body)? {
        Synced::Done => Ok(match reserved {
            Some((fd, file)) => fd.install(file).0 as usize,
            None => 0,
        }),
        Synced::Differs(_) if flags.contains(FilterFlags::TSYNC_ESRCH) => {
            bail!(ESRCH, "SECCOMP_FILTER_FLAG_TSYNC: a thread has other filters")
        }
        Synced::Differs(thread) => Ok(thread.0 as usize),
    }
}

/// The ioctls of a listener.
pub fn listener_ioctl(cx: &mut Cx<'_>, listener: &Listener, cmd: u32, arg: UserAddr) -> Result<usize> {
    match cmd {
        SECCOMP_IOCTL_NOTIF_RECV => receive(cx, listener, arg),
        SECCOMP_IOCTL_NOTIF_SEND => {
            let resp: NotifResp = UserInPtr::new(arg).read(cx)?;
            let goes_on = resp.flags == SECCOMP_USER_NOTIF_FLAG_CONTINUE;
            ensure!(
                resp.flags == 0 || goes_on && resp.error == 0 && resp.val == 0,
                EINVAL,
                "SECCOMP_IOCTL_NOTIF_SEND: unknown flags, or a result for a call that goes on"
            );
            let outcome = match (goes_on, resp.error) {
                (true, _) => Outcome::Continue,
                (false, 0) => Outcome::Return(resp.val),
                (false, error) => Outcome::Return(error.into()),
            };
            listener.answer(resp.id, outcome)?;
            Ok(0)
        }
        SECCOMP_IOCTL_NOTIF_ID_VALID | SECCOMP_IOCTL_NOTIF_ID_VALID_WRONG_DIR => {
            let id = UserInPtr::<u64>::new(arg).read(cx)?;
            ensure!(
                listener.is_valid(id),
                ENOENT,
                "SECCOMP_IOCTL_NOTIF_ID_VALID: it is not"
            );
            Ok(0)
        }
        // The direction and the size are not looked at.
        _ if cmd & 0xffff == NOTIF_ADDFD => {
            let size = (cmd >> 16 & 0x3fff) as usize;
            add_fd(cx, listener, arg, size)
        }
        _ => bail!(EINVAL, "ioctl: unknown to a seccomp listener"),
    }
}

fn receive(cx: &mut Cx<'_>, listener: &Listener, at: UserAddr) -> Result<usize> {
    let zeros = UserInPtr::<u8>::new(at).read_bytes(cx, size_of::<Notif>())?;
    ensure!(
        zeros.iter().all(|byte| *byte == 0),
        EINVAL,
        "SECCOMP_IOCTL_NOTIF_RECV: the structure must be zero"
    );
    let on = [WaitOn::any(listener.queue())];
    let received = wait_until(cx.task, &on, Ktime::MAX, WaitKind::Interruptible, || {
        listener.receive()
    });
    let Ok(received) = received else {
        bail!(EINTR, "SECCOMP_IOCTL_NOTIF_RECV: a signal came");
    };
    let data = received.data;
    let notif = Notif {
        id: received.id,
        pid: received.pid.nr_in(cx.task.pid_ns()).0,
        flags: 0,
        nr: data.nr,
        arch: data.arch,
        instruction_pointer: data.instruction_pointer,
        args: data.args,
    };
    let written = UserOutPtr::new(at).write(cx, &notif);
    if written.is_err() {
        listener.give_back(received.id);
    }
    written?;
    Ok(0)
}

fn add_fd(cx: &mut Cx<'_>, listener: &Listener, at: UserAddr, size: usize) -> Result<usize> {
    const KNOWN: usize = size_of::<NotifAddFd>();
    ensure!(
        (KNOWN..4096).contains(&size),
        EINVAL,
        "SECCOMP_IOCTL_NOTIF_ADDFD: not a size that there was"
    );
    let rest = UserInPtr::<u8>::new(at.offset(KNOWN as u64)).read_bytes(cx, size - KNOWN)?;
    ensure!(
        rest.iter().all(|byte| *byte == 0),
        E2BIG,
        "SECCOMP_IOCTL_NOTIF_ADDFD: fields that are not known"
    );
    let add: NotifAddFd = UserInPtr::new(at).read(cx)?;
    let cloexec = OpenFlags::CLOEXEC.bits();
    let sets = add.flags & SECCOMP_ADDFD_FLAG_SETFD != 0;
    ensure!(
        add.newfd_flags & !cloexec == 0
            && add.flags & !(SECCOMP_ADDFD_FLAG_SETFD | SECCOMP_ADDFD_FLAG_SEND) == 0
            && (add.newfd == 0 || sets),
        EINVAL,
        "SECCOMP_IOCTL_NOTIF_ADDFD: unknown flags, or a number without SETFD"
    );
    let file = cx.files().get_rw(Fd(add.srcfd as i32))?;
    let added = AddFd::new(
        file,
        sets.then_some(add.newfd),
        add.newfd_flags & cloexec != 0,
        add.flags & SECCOMP_ADDFD_FLAG_SEND != 0,
    );
    listener.add_fd(add.id, added.clone())?;
    let on = [WaitOn::any(&added.queue)];
    let waited = wait_until(cx.task, &on, Ktime::MAX, WaitKind::Interruptible, || {
        added.result()
    });
    match waited {
        Ok(result) => result,
        Err(why) if listener.cancel_add(add.id, &added) => Err(why.restart_sys()),
        // The task is about to have it.
        Err(why) => match wait_until(cx.task, &on, Ktime::MAX, WaitKind::Killable, || added.result()) {
            Ok(result) => result,
            Err(_) => Err(why.restart_sys()),
        },
    }
}
