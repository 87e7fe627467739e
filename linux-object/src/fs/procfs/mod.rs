//! procfs: tasks and kernel settings as files (`proc(5)`).
//!
//! Model: a mount of procfs belongs to the pid namespace of the task that mounted it and shows the
//! tasks which that namespace sees, by its numbers. Everything stands in tables, one line per file:
//!
//! - [`system::FILES`]: what concerns the whole kernel, by path;
//! - [`sysctl::SYSCTLS`]: settings below `/proc/sys`, typed, by path;
//! - [`base::PID_ENTRIES`]: what each task has, below `/proc/TGID` and `/proc/TGID/task/TID`.
//!
//! A file is a *show* function that writes text; [`seq_file`](super::seq_file) does the rest. All inodes are of one
//! type, [`inode::ProcInode`], made at lookup and gone when unused: an inode refers to a
//! [`Pid`], never to a task, so it keeps no task alive and never reaches a later task of the
//! same number.
//!
//! Locks: show functions run without locks and take what they need from `TaskSet` on.

pub mod access;
mod array;
pub(crate) use array::mask_list;
mod base;
mod files;
mod id_maps;
mod inode;
mod kmsg;
mod links;
mod mem;
mod mounts;
mod net;
mod ns;
mod options;
mod pagemap;
mod settings;
mod sysctl;
mod system;
mod task_mmu;
mod text;

use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::{Arc, Weak};
use core::any::Any;

use self::inode::{Node, ProcInode};
use self::options::{HidePid, Options};
use super::fs_context::param::Param;
use super::fs_context::{ContextInit, ContextOps, Log, MountRequest, ParamCx, Tree};
use super::seq_file::SeqBuf;
use super::{FileSystem, FileSystemType, FileTime, FsInfo, INode, OpenFile, SbFlags, SuperBlock};
use crate::cgroup::view::View;
use crate::err;
use crate::error::Result;
use crate::kernel::Kernel;
use crate::namespace::{IpcNamespace, PidNamespace, UserNamespace};
use crate::sync::{SpinLock, class};
use crate::task::Task;
use crate::task::pid::Pid;

/// `PROC_SUPER_MAGIC`.
pub const PROC_SUPER_MAGIC: u64 = 0x9fa0;

/// One mount's view.
pub struct ProcFs {
    this: Weak<ProcFs>,
    kernel: Weak<Kernel>,
    pid_ns: Arc<PidNamespace>,
    options: SpinLock<Options, class::Leaf>,
    /// When it was mounted: the time stamps of what does not belong to a task.
    time: FileTime,
}

/// What a show or write function of the whole kernel works with.
pub(crate) struct ProcCx<'a> {
    /// The kernel.
    pub kernel: &'a Arc<Kernel>,
    /// Who reads or writes.
    pub reader: &'a Arc<Task>,
    /// The mount's pid namespace.
    pub pid_ns: &'a Arc<PidNamespace>,
    /// The IPC namespace of the opener.
    ipc_ns: Option<Arc<IpcNamespace>>,
    /// The mount is one of `cgview`.
    cgview: bool,
}

impl ProcCx<'_> {
    /// The reader's container, if the mount shows that.
    fn view(&self) -> Option<View<'_>> {
        self.cgview.then(|| View::of(self.reader)).flatten()
    }
    /// The IPC namespace of the opener; `ENOENT` once it is gone.
    pub fn ipc_ns(&self) -> Result<&Arc<IpcNamespace>> {
        self.ipc_ns
            .as_ref()
            .ok_or(err!(ENOENT, "the IPC namespace is gone"))
    }
}

/// Writes a file's text.
pub(crate) type Show = fn(&ProcCx<'_>, &mut SeqBuf) -> Result<()>;

impl ProcFs {
    fn new(kernel: &Arc<Kernel>, pid_ns: Arc<PidNamespace>, options: Options) -> Arc<ProcFs> {
        let time = super::current_time(kernel);
        Arc::new_cyclic(|this| ProcFs {
            this: this.clone(),
            kernel: Arc::downgrade(kernel),
            pid_ns,
            options: SpinLock::new(options),
            time,
        })
    }
    /// Who asks, where the interface does not say so.
    fn current(&self) -> Option<Arc<Task>> {
        self.kernel.upgrade()?.sched.try_current()
    }
    fn options(&self) -> Options {
        *self.options.lock()
    }

    /// Whether `viewer` may see that `target` is there (Linux's `has_pid_permissions`).
    fn may_see(&self, viewer: &Arc<Task>, target: &Arc<Task>, min: HidePid) -> bool {
        let options = self.options();
        if options.hide_pid == HidePid::Ptraceable {
            return access::ptrace_may_access(viewer, target, access::PtraceMode::READ_FSCREDS).is_ok();
        }
        options.hide_pid < min
            || viewer.cred().in_group(options.gid)
            || access::ptrace_may_access(viewer, target, access::PtraceMode::READ_FSCREDS).is_ok()
    }
}

impl FileSystem for ProcFs {
    fn name(&self) -> &'static str {
        "proc"
    }
    fn root_inode(&self) -> Arc<dyn INode> {
        // The caller holds a reference, so `this` can be upgraded.
        match self.this.upgrade() {
            Some(fs) => ProcInode::new(&fs, Node::Root),
            None => unreachable!("the file system is alive while it is used"),
        }
    }
    fn info(&self) -> FsInfo {
        FsInfo {
            magic: PROC_SUPER_MAGIC,
            block_size: 4096,
            name_max: 255,
            ..FsInfo::default()
        }
    }
    fn show_options(&self, out: &mut String) {
        self.options().show(&self.pid_ns, out);
    }
    fn cacheable(&self) -> bool {
        false
    }
}

/// `mount -t proc`.
pub struct ProcFsType;

impl FileSystemType for ProcFsType {
    fn name(&self) -> &'static str {
        "proc"
    }
    fn userns_mount(&self) -> bool {
        true
    }
    fn init_context(&self, init: &ContextInit<'_>) -> Result<Box<dyn ContextOps>> {
        let fs = match init.reconfigure {
            Some(sb) => (&*sb.fs as &dyn Any).downcast_ref::<ProcFs>(),
            None => None,
        };
        Ok(Box::new(ProcContext {
            pid_ns: match fs {
                Some(fs) => fs.pid_ns.clone(),
                None => init.task.pid().ns().clone(),
            },
            options: fs.map_or_else(Options::default, ProcFs::options),
        }))
    }
}

struct ProcContext {
    pid_ns: Arc<PidNamespace>,
    options: Options,
}

impl ContextOps for ProcContext {
    fn user_ns(&self) -> Option<Arc<UserNamespace>> {
        Some(self.pid_ns.user_ns().clone())
    }
    fn parse_param(&mut self, cx: &mut ParamCx<'_>, param: &Param) -> Result<bool> {
        self.options.parse_param(cx, param)
    }
    fn get_tree(&mut self, request: &mut MountRequest<'_>) -> Result<Tree> {
        let fs = ProcFs::new(request.kernel, self.pid_ns.clone(), self.options);
        let flags = SbFlags::I_NODEV | SbFlags::I_NOEXEC | SbFlags::I_USERNS_VISIBLE;
        let user_ns = request.user_ns.clone();
        let sb = SuperBlock::new(request.kernel, fs, user_ns, request.sb_flags | flags.bits())?;
        Ok(Tree::whole(sb))
    }
    fn reconfigure(&mut self, sb: &Arc<SuperBlock>, _text: &[u8], _log: &mut Log) -> Result<()> {
        if let Some(fs) = (&*sb.fs as &dyn Any).downcast_ref::<ProcFs>() {
            *fs.options.lock() = self.options;
        }
        Ok(())
    }
}

/// What the reader's time namespace adds to the time since boot, in nanoseconds.
fn boottime_offset(reader: &Task) -> i64 {
    reader.try_nsproxy().map_or(0, |ns| ns.time_ns.offsets().boottime)
}

/// The process whose directory `/proc/PID` an open file is (Linux's `tgid_pidfd_to_pid`); it may have
/// ended. `None` for any other file, also for those of threads below `task/`.
pub fn process_of(file: &OpenFile) -> Option<Arc<Pid>> {
    match &file.inode.as_any().downcast_ref::<ProcInode>()?.node {
        Node::Pid(node) => node.process_dir().cloned(),
        _ => None,
    }
}
