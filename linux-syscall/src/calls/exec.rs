//! Executing programs (`execve(2)`, `execveat(2)`).
//!
//! Everything that can fail comes first: opening, following `#!` lines, loading into a new address
//! space. [`commit`] then makes the caller into the new program; the only thing it waits for is the end
//! of the other threads.

use alloc::format;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::convert::Infallible;
use core::sync::atomic::Ordering;

use linux_object::cgroup::memory::memcg_of;
use linux_object::cred::exec::{ExecCreds, bprm_creds};
use linux_object::error::Result;
use linux_object::fs::namei::{LookupFlags, path_lookup};
use linux_object::fs::permission::{Access, inode_permission};
use linux_object::fs::{FileType, INode, OpenFile, OpenFlags, Path, vfs_open};
use linux_object::hal::UserRegs;
use linux_object::ids::{Fd, PAGE_SIZE, UserAddr};
use linux_object::loader::{self, ArgStrings, LoadRequest, Loaded, Program};
use linux_object::namespace::UserNamespace;
use linux_object::task::exec::{abort_de_thread, begin_de_thread, finish_de_thread, others_are_gone};
use linux_object::task::ptrace::ExecGuard;
use linux_object::task::{Resource, Rlimit};
use linux_object::time::Ktime;
use linux_object::{bail, ensure};

use crate::abi::AT_FDCWD;
use crate::calls::exit::release_user_tid;
use crate::calls::futex;
use crate::context::Cx;
use crate::ptrace;
use crate::thread::NO_SYSCALL;
use crate::user_ptr::{UserCStr, UserInPtr};
use crate::wait_until::{WaitKind, WaitOn, wait_until};

const AT_SYMLINK_NOFOLLOW: u32 = 0x100;
const AT_EMPTY_PATH: u32 = 0x1000;
/// Strings in `argv` or `envp`, at most.
const MAX_ARG_STRINGS: usize = 0x7fff_ffff;
/// The user's code and data segments, 64-bit.
const USER_CS: u64 = 0x33;
const USER_DS: u64 = 0x2b;
const RFLAGS: u64 = 0x202;
/// The stack that programs usually get (`_STK_LIM`).
const STK_LIM: u64 = 8 << 20;
/// `PR_SET_DUMPABLE`: as a debugger of the same user likes.
const SUID_DUMP_USER: u64 = 1;
/// `personality(2)` bits that a program with more rights does not get: READ_IMPLIES_EXEC,
/// ADDR_NO_RANDOMIZE, ADDR_COMPAT_LAYOUT, MMAP_PAGE_ZERO.
const PER_CLEAR_ON_SETID: u32 = 0x0074_0000;

/// `execve(2)`.
pub fn execve(cx: &mut Cx<'_>, path: UserCStr, argv: UserInPtr<u64>, envp: UserInPtr<u64>) -> Result<usize> {
    execveat(cx, Fd(AT_FDCWD), path, argv, envp, 0)
}

/// `execveat(2)`.
pub fn execveat(
    cx: &mut Cx<'_>,
    dirfd: Fd,
    path: UserCStr,
    argv: UserInPtr<u64>,
    envp: UserInPtr<u64>,
    flags: u32,
) -> Result<usize> {
    ensure!(
        flags & !(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH) == 0,
        EINVAL,
        "execveat: unknown flags"
    );
    let path = path.read_path(cx)?;
    cx.task.check_nproc_exceeded()?;
    ensure!(
        !path.is_empty() || flags & AT_EMPTY_PATH != 0,
        ENOENT,
        "the path is empty"
    );
    let mut argv = read_strings(cx, argv)?;
    let envp = read_strings(cx, envp)?;
    if argv.count() == 0 {
        // Programs may rely on argv[0] since Linux 5.18.
        argv.push(b"")?;
    }
    let mut lookup = LookupFlags::empty();
    lookup.set(LookupFlags::FOLLOW, flags & AT_SYMLINK_NOFOLLOW == 0);
    lookup.set(LookupFlags::EMPTY, flags & AT_EMPTY_PATH != 0);
    let by_fd = dirfd.0 != AT_FDCWD && path.first() != Some(&b'/');
    let (base, vanishes) = if by_fd {
        let files = cx.task.files();
        (Some(files.get(dirfd)?.path.clone()), files.cloexec(dirfd)?)
    } else {
        (None, false)
    };
    let filename = match by_fd {
        false => path.clone(),
        true if path.is_empty() => format!("/dev/fd/{dirfd}").into_bytes(),
        true => {
            let mut name = format!("/dev/fd/{dirfd}/").into_bytes();
            name.extend_from_slice(&path);
            name
        }
    };
    let file = open_exec(cx, base.as_ref(), &path, lookup)?;
    let old_nr = ptrace::nr_for_tracer(cx, cx.task.pid());
    exec_file(cx, file, &filename, argv, &envp, vanishes)?;
    ptrace::exec_event(cx, old_nr);
    Ok(0)
}

/// Makes the calling kernel thread the first program.
pub fn kernel_execve(cx: &mut Cx<'_>, path: &[u8], argv: Vec<Vec<u8>>, envp: Vec<Vec<u8>>) -> Result<()> {
    let strings = |list: &[Vec<u8>]| -> Result<ArgStrings> {
        let mut strings = ArgStrings::default();
        list.iter().try_for_each(|string| strings.push(string))?;
        Ok(strings)
    };
    let (argv, envp) = (strings(&argv)?, strings(&envp)?);
    let file = open_exec(cx, None, path, LookupFlags::FOLLOW)?;
    cx.regs.orig_rax = NO_SYSCALL;
    exec_file(cx, file, path, argv, &envp, false)
}

/// Copies an array of strings in.
fn read_strings(cx: &Cx<'_>, array: UserInPtr<u64>) -> Result<ArgStrings> {
    let mut strings = ArgStrings::default();
    if array.is_null() {
        return Ok(strings);
    }
    for n in 0..MAX_ARG_STRINGS {
        let at = array.at(n).read(cx)?;
        if at == 0 {
            return Ok(strings);
        }
        strings.read_from_user(cx, UserCStr(UserAddr(at)))?;
    }
    bail!(E2BIG, "more strings than there can be")
}

trait ReadStrings {
    fn read_from_user(&mut self, cx: &Cx<'_>, string: UserCStr) -> Result<()>;
}

impl ReadStrings for ArgStrings {
    fn read_from_user(&mut self, cx: &Cx<'_>, string: UserCStr) -> Result<()> {
        // No limit allows more than 6 MiB in total.
        ensure!(self.bytes().len() <= 6 << 20, E2BIG, "too many arguments");
        match string.read(cx, loader::MAX_ARG_STRLEN)? {
            Some(string) => self.push(&string),
            None => bail!(E2BIG, "a string of 128 KiB or more"),
        }
    }
}

/// Opens a file for execution (Linux's `do_open_execat`).
fn open_exec(cx: &Cx<'_>, base: Option<&Path>, name: &[u8], lookup: LookupFlags) -> Result<Arc<OpenFile>> {
    let path = path_lookup(cx.task, base, name, lookup)?;
    let inode = path.inode()?;
    if inode.file_type() == FileType::Symlink {
        bail!(ELOOP, "execveat: a symlink, and AT_SYMLINK_NOFOLLOW");
    }
    loader::check_executable(&path)?;
    inode_permission(cx.task, &cx.task.cred(), &path.mount, &**inode, Access::EXEC)?;
    vfs_open(cx.task, &path, OpenFlags::empty())
}

fn exec_file(
    cx: &mut Cx<'_>,
    file: Arc<OpenFile>,
    filename: &[u8],
    argv: ArgStrings,
    envp: &ArgStrings,
    vanishes: bool,
) -> Result<()> {
    let open = |name: &[u8]| open_exec(cx, None, name, LookupFlags::FOLLOW);
    let program = Program::open(file, filename, argv, vanishes, open)?;
    let binary = &program.exe.file;
    let _no_tracer = ExecGuard::new(cx.task);
    let creds = bprm_creds(cx.task, &binary.path, &binary.inode)?;
    let vdso = match &cx.kernel.vdso {
        Some(vdso) => {
            let offsets = cx.task.nsproxy().time_ns.offsets();
            Some((&**vdso, vdso.vvar_for(&offsets)?))
        }
        None => None,
    };
    let loaded = loader::load(
        &LoadRequest {
            memory: &cx.kernel.memory,
            who: &**cx.task,
            cred: &creds.cred,
            secure: creds.secure,
            filename,
            envp,
            random: &|| cx.kernel.rng.next_u64(),
            vdso,
            hwcap: cx.hal().hwcap(),
            fpu_size: cx.task.thread.fpu_size(),
        },
        &program,
        open,
    )?;
    // Who may not read the program may not read it from memory either (Linux's `would_dump`).
    let cred = cx.task.cred();
    let readable = inode_permission(cx.task, &cred, &binary.path.mount, &*binary.inode, Access::READ).is_ok();
    let dumpable = if creds.privileged || !readable {
        cx.kernel.sysctl.suid_dumpable.get_u64()
    } else {
        SUID_DUMP_USER
    };
    // A table shared with others is left to them.
    let files = cx.task.files();
    let files = match files.users.load(Ordering::Acquire) {
        1 => None,
        _ => Some(files.fork()?),
    };
    de_thread(cx)?;
    if let Some(files) = files {
        cx.replace_files(files);
    }
    loaded
        .mm
        .set_user_ns(dump_namespace(&cred.user_ns, &binary.inode, readable));
    commit(cx, loaded, filename, creds, dumpable);
    Ok(())
}

/// Whose capabilities reach into the new program: the caller's user namespace; for a program that
/// the caller cannot read, the nearest one around it that has power over the file.
fn dump_namespace(own: &Arc<UserNamespace>, inode: &Arc<dyn INode>, readable: bool) -> Arc<UserNamespace> {
    let mut ns = own;
    let meta = inode.metadata();
    let owns = |ns: &UserNamespace| ns.from_kuid(meta.uid).is_some() && ns.from_kgid(meta.gid).is_some();
    while let Some(parent) = ns.parent()
        && !readable
        && !owns(ns)
    {
        ns = parent;
    }
    ns.clone()
}

/// The other threads of the process end.
fn de_thread(cx: &Cx<'_>) -> Result<()> {
    let (task, group) = (cx.task, cx.task.group());
    begin_de_thread(task)?;
    let gone = wait_until(
        task,
        &[WaitOn::any(&group.wait_child)],
        Ktime::MAX,
        WaitKind::Killable,
        || others_are_gone(task).then_some(()),
    );
    if gone.is_err() {
        abort_de_thread(task);
        bail!(EAGAIN, "execve: killed while other threads end");
    }
    finish_de_thread(task);
    Ok(())
}

/// The caller becomes the new program (Linux's `begin_new_exec` and `setup_new_exec`). Nothing
/// can fail any more.
fn commit(cx: &mut Cx<'_>, loaded: Loaded, filename: &[u8], creds: ExecCreds, dumpable: u64) {
    let task = cx.task;
    futex::exit_robust_list(cx, false);
    task.rseq.clear();
    task.set_user_dispatch(None);
    release_user_tid(cx);
    loaded.mm.set_owner(task.group().koid(), &memcg_of(task));
    let old = task.set_mm(Some(loaded.mm.clone()));
    cx.hal().activate(Some(loaded.mm.space()));
    if let Some(old) = old {
        let peak = old.rss_peak() * (PAGE_SIZE as u64 / 1024);
        task.acct.maxrss.fetch_max(peak, Ordering::Relaxed);
    }
    task.complete_vfork();
    task.group().timers.delete_all_posix();
    task.exec_signals();
    if creds.secure {
        task.personality.fetch_and(!PER_CLEAR_ON_SETID, Ordering::Relaxed);
        task.pdeath_signal.store(0, Ordering::Relaxed);
        // Its stack is not as large as its caller would like.
        let clamp = |old: Rlimit| {
            let cur = old.cur.min(STK_LIM);
            Ok::<_, Infallible>(Rlimit { cur, ..old })
        };
        let _ = task.group().update_rlimit(Resource::STACK, clamp);
    }
    task.files().close_on_exec(task);
    let name = filename.rsplit(|&byte| byte == b'/').next().unwrap_or_default();
    task.set_comm(name);
    let mut cred = creds.cred;
    cred.keys.leave_process();
    task.commit_creds(cred);
    loaded.mm.set_dumpable(dumpable);
    task.clear_debug_regs();
    task.thread.reset_user_state();
    *cx.regs = UserRegs {
        rip: loaded.entry,
        rsp: loaded.sp,
        cs: USER_CS,
        ss: USER_DS,
        rflags: RFLAGS,
        // The call has its result to come.
        rax: cx.regs.rax,
        orig_rax: cx.regs.orig_rax,
        ..UserRegs::default()
    };
}
