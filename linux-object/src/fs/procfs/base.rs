//! What each task has: the table, and the directories `/proc/TGID` and `/proc/TGID/task/TID`
//! (`fs/proc/base.c`).

use alloc::boxed::Box;
use alloc::format;
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;

use super::access::{PtraceMode, ptrace_may_access, undumpable_in};
use super::inode::{Event, parse_number};
use super::options::HidePid;
use super::pagemap::PagemapFile;
use super::{ProcFs, array, files, id_maps, links, mounts, net, ns, settings, task_mmu, text};
use crate::cred::{Capability, Cred};
use crate::error::Result;
use crate::fs::pseudo::{PseudoAttr, inode_number};
use crate::fs::seq_file::{SeqBuf, SeqCx, SeqFile, SeqSource};
use crate::fs::{DirSink, FileOps, FileType, OpenFlags, Path};
use crate::ids::{Fd, Gid, Kgid, Kuid, PAGE_SHIFT, PAGE_SIZE, PidNr, Uid};
use crate::kernel::Kernel;
use crate::mm::Mm;
use crate::namespace::{PidNamespace, UserNamespace};
use crate::sync::WaitQueue;
use crate::task::Task;
use crate::task::pid::Pid;
use crate::{bail, ensure, err};

/// What a function of the table works with.
pub(super) struct PidCx<'a> {
    /// The kernel.
    pub kernel: &'a Arc<Kernel>,
    /// The pid namespace that the mount shows.
    pub pid_ns: &'a Arc<PidNamespace>,
    /// Who reads or writes.
    pub reader: &'a Arc<Task>,
    /// Who opened the file.
    pub cred: &'a Arc<Cred>,
    /// Whom it is about.
    pub task: &'a Arc<Task>,
    /// About the thread only, not its process.
    pub thread: bool,
}

impl PidCx<'_> {
    /// Whether the reader may look into the task.
    pub fn may_look(&self) -> bool {
        ptrace_may_access(self.reader, self.task, PtraceMode::READ_FSCREDS).is_ok()
    }
}

type Show = fn(&PidCx<'_>, &mut SeqBuf) -> Result<()>;
type Store = fn(&PidCx<'_>, &[u8]) -> Result<usize>;

/// Where an entry is listed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    Both,
    Process,
    Thread,
}
use Scope::{Both, Process, Thread};

/// What an entry is.
pub(super) enum Kind {
    /// A text.
    Text(Show),
    /// A text that can be written; no function to show: write-only.
    Setting(Option<Show>, Store),
    /// A setting of the user namespace that the task is in when the file is opened.
    UserNs(
        fn(&UserNamespace, &Cred, &mut SeqBuf) -> Result<()>,
        fn(&Arc<UserNamespace>, &Cred, &Arc<Task>, &[u8]) -> Result<usize>,
    ),
    /// A text about an address space. Who may look is decided, and which address space it is, when
    /// the file is opened; it is empty once that address space is gone.
    Mm(fn(&PidCx<'_>, &Arc<Mm>, &mut SeqBuf) -> Result<()>),
    /// The mounts of the task's mount namespace, with `poll`.
    Mounts(Show),
    /// The memory itself.
    Mem,
    /// A word for each page of it.
    Pagemap,
    /// `map_files/`.
    MapFilesDir,
    /// A link to an object.
    Link(fn(&Arc<Task>) -> Result<Path>),
    /// `task/`.
    TaskDir,
    /// `fd/`.
    FdDir,
    /// `fdinfo/`.
    FdInfoDir,
    /// `ns/`.
    NsDir,
    /// `net`: the network namespace's own files.
    NetDir,
}

/// A line of the table.
pub(super) struct PidEntry {
    pub name: &'static str,
    pub mode: u32,
    pub scope: Scope,
    pub kind: Kind,
}

const fn text(name: &'static str, scope: Scope, show: Show) -> PidEntry {
    entry(name, 0o444, scope, Kind::Text(show))
}
const fn entry(name: &'static str, mode: u32, scope: Scope, kind: Kind) -> PidEntry {
    PidEntry {
        name,
        mode,
        scope,
        kind,
    }
}

/// Every file of a task, in Linux's order.
#[rustfmt::skip]
pub(super) static PID_ENTRIES: &[PidEntry] = &[
    entry("task", 0o555, Process, Kind::TaskDir),
    entry("fd", 0o500, Both, Kind::FdDir),
    entry("fdinfo", 0o555, Both, Kind::FdInfoDir),
    entry("ns", 0o511, Both, Kind::NsDir),
    entry("net", 0o555, Both, Kind::NetDir),
    entry("environ", 0o400, Both, Kind::Mm(text::environ)),
    entry("auxv", 0o400, Both, Kind::Mm(text::auxv)),
    text("status", Both, array::status),
    entry("personality", 0o400, Both, Kind::Text(text::personality)),
    text("limits", Both, text::limits),
    entry("timens_offsets", 0o644, Process, Kind::Setting(Some(id_maps::show_timens_offsets), id_maps::store_timens_offsets)),
    text("sched", Both, text::sched),
    entry("comm", 0o644, Process, Kind::Setting(Some(text::comm), settings::store_comm)),
    entry("comm", 0o666, Thread, Kind::Setting(Some(text::comm), settings::store_comm)),
    entry("syscall", 0o400, Both, Kind::Text(text::syscall)),
    text("cmdline", Both, text::cmdline),
    text("stat", Both, array::stat),
    text("statm", Both, array::statm),
    entry("maps", 0o444, Both, Kind::Mm(task_mmu::maps)),
    entry("mem", 0o600, Both, Kind::Mem),
    entry("cwd", 0o777, Both, Kind::Link(links::cwd)),
    entry("root", 0o777, Both, Kind::Link(links::root)),
    entry("exe", 0o777, Both, Kind::Link(links::exe)),
    entry("numa_maps", 0o444, Both, Kind::Mm(task_mmu::numa_maps)),
    entry("mounts", 0o444, Both, Kind::Mounts(mounts::mounts)),
    entry("mountinfo", 0o444, Both, Kind::Mounts(mounts::mountinfo)),
    entry("mountstats", 0o400, Process, Kind::Mounts(mounts::mountstats)),
    entry("clear_refs", 0o200, Both, Kind::Setting(None, settings::store_clear_refs)),
    entry("map_files", 0o500, Process, Kind::MapFilesDir),
    entry("pagemap", 0o400, Both, Kind::Pagemap),
    entry("smaps", 0o444, Both, Kind::Mm(task_mmu::smaps)),
    entry("smaps_rollup", 0o444, Both, Kind::Mm(task_mmu::smaps_rollup)),
    text("wchan", Both, text::wchan),
    entry("stack", 0o400, Both, Kind::Text(text::stack)),
    text("schedstat", Both, text::schedstat),
    text("cpuset", Both, text::cpuset),
    text("cgroup", Both, text::cgroup),
    entry("io", 0o400, Both, Kind::Text(text::io)),
    text("oom_score", Both, settings::show_oom_score),
    entry("oom_adj", 0o644, Both, Kind::Setting(Some(settings::show_oom_adj), settings::store_oom_adj)),
    entry("oom_score_adj", 0o644, Both, Kind::Setting(Some(settings::show_oom_score_adj), settings::store_oom_score_adj)),
    entry("coredump_filter", 0o644, Process, Kind::Setting(Some(settings::show_coredump_filter), settings::store_coredump_filter)),
    entry("uid_map", 0o644, Both, Kind::UserNs(id_maps::show_uid_map, id_maps::store_uid_map)),
    entry("gid_map", 0o644, Both, Kind::UserNs(id_maps::show_gid_map, id_maps::store_gid_map)),
    entry("projid_map", 0o644, Both, Kind::UserNs(id_maps::show_projid_map, id_maps::store_projid_map)),
    entry("setgroups", 0o644, Both, Kind::UserNs(id_maps::show_setgroups, id_maps::store_setgroups)),
    text("timers", Process, text::timers),
    entry("timerslack_ns", 0o666, Process, Kind::Setting(Some(settings::show_timerslack), settings::store_timerslack)),
    entry("children", 0o444, Thread, Kind::Text(text::children)),
];

/// An inode that belongs to a task.
#[derive(Clone)]
pub(super) struct PidNode {
    pub pid: Arc<Pid>,
    /// Below `task/`.
    pub thread: bool,
    pub what: PidWhat,
}

/// Which inode of the task.
#[derive(Clone, Copy)]
pub(super) enum PidWhat {
    /// `/proc/PID` itself.
    Dir,
    /// A line of the table.
    Entry(&'static PidEntry),
    /// `fd/N`.
    Fd(Fd),
    /// `fdinfo/N`.
    FdInfo(Fd),
    /// `map_files/START-END`.
    MapFile(u64, u64),
    /// `ns/*`.
    Ns(ns::NsLink),
    /// `net/*`.
    Net(&'static net::NetFile),
}

impl PidNode {
    /// `/proc/PID`.
    pub fn process(pid: Arc<Pid>) -> PidNode {
        PidNode {
            pid,
            thread: false,
            what: PidWhat::Dir,
        }
    }
    /// The pid, if this is `/proc/PID` itself.
    pub fn process_dir(&self) -> Option<&Arc<Pid>> {
        (!self.thread && matches!(self.what, PidWhat::Dir)).then_some(&self.pid)
    }
    fn with(&self, what: PidWhat) -> PidNode {
        PidNode { what, ..self.clone() }
    }
    fn task(&self) -> Result<Arc<Task>> {
        self.pid.task().ok_or(err!(ENOENT))
    }
    /// Whether there is still a task, and what the inode stands for.
    pub fn is_alive(&self) -> bool {
        let Some(task) = self.pid.task() else { return false };
        match self.what {
            PidWhat::Fd(fd) | PidWhat::FdInfo(fd) => files::file(&task, fd).is_ok(),
            PidWhat::MapFile(start, end) => files::mapped(&task, start, end).is_ok(),
            _ => true,
        }
    }

    /// The inode number.
    pub fn number(&self) -> u64 {
        let seed = self.pid.koid().0 << 1 | self.thread as u64;
        match self.what {
            PidWhat::Dir => inode_number(seed, b""),
            PidWhat::Entry(entry) => inode_number(seed, entry.name.as_bytes()),
            PidWhat::Fd(fd) => inode_number(seed, format!("fd/{fd}").as_bytes()),
            PidWhat::FdInfo(fd) => inode_number(seed, format!("fdinfo/{fd}").as_bytes()),
            PidWhat::MapFile(start, end) => {
                inode_number(seed, format!("map_files/{start:x}-{end:x}").as_bytes())
            }
            PidWhat::Net(file) => inode_number(seed, format!("net/{}", file.name).as_bytes()),
            PidWhat::Ns(link) => inode_number(seed, format!("ns/{}", link.name).as_bytes()),
        }
    }

    /// The type.
    pub fn file_type(&self) -> FileType {
        match self.what {
            PidWhat::Dir => FileType::Directory,
            PidWhat::Entry(entry) => match entry.kind {
                Kind::TaskDir
                | Kind::FdDir
                | Kind::FdInfoDir
                | Kind::MapFilesDir
                | Kind::NsDir
                | Kind::NetDir => FileType::Directory,
                Kind::Link(_) => FileType::Symlink,
                _ => FileType::Regular,
            },
            PidWhat::Fd(_) | PidWhat::MapFile(..) | PidWhat::Ns(_) => FileType::Symlink,
            PidWhat::FdInfo(_) | PidWhat::Net(_) => FileType::Regular,
        }
    }

    /// Attributes. The owner is the task's effective user; root, if the process must not be dumped,
    /// but for directories that everyone may list (Linux's `task_dump_owner`).
    pub fn attr(&self, fs: &ProcFs) -> PseudoAttr {
        let task = self.pid.task();
        let mode = match self.what {
            PidWhat::Dir => 0o555,
            PidWhat::Entry(entry) => entry.mode,
            PidWhat::Fd(fd) => task.as_ref().map_or(0o500, |task| files::link_mode(task, fd)),
            PidWhat::MapFile(start, end) => {
                let mapped = task
                    .as_ref()
                    .and_then(|task| files::mapped(task, start, end).ok());
                mapped.map_or(0, |(_, mode)| mode)
            }
            PidWhat::FdInfo(_) | PidWhat::Net(_) => 0o444,
            PidWhat::Ns(_) => 0o777,
        };
        let mut attr = PseudoAttr::new(self.number(), self.file_type(), mode, fs.time);
        if let PidWhat::Fd(_) | PidWhat::MapFile(..) = self.what {
            attr.size = 64;
        }
        let Some(task) = task else { return attr };
        match self.what {
            PidWhat::Dir => {
                let dirs = PID_ENTRIES.iter().filter(|entry| {
                    self.lists(entry) && self.with(PidWhat::Entry(entry)).file_type() == FileType::Directory
                });
                attr.nlink = 2 + dirs.count() as u32;
            }
            PidWhat::Entry(PidEntry {
                kind: Kind::TaskDir, ..
            }) => attr.nlink = 2 + task.group().nr_threads() as u32,
            _ => {}
        }
        let listable = attr.file_type == FileType::Directory && mode == 0o555;
        let cred = task.cred();
        (attr.uid, attr.gid) = match undumpable_in(&task) {
            Some(user_ns) if !listable => (
                user_ns.make_kuid(Uid(0)).unwrap_or(Kuid::ROOT),
                user_ns.make_kgid(Gid(0)).unwrap_or(Kgid::ROOT),
            ),
            _ => (cred.euid, cred.egid),
        };
        attr
    }

    fn lists(&self, entry: &PidEntry) -> bool {
        match entry.scope {
            Both => true,
            Process => !self.thread,
            Thread => self.thread,
        }
    }

    /// Access rules beyond the mode.
    pub fn permission(&self, fs: &ProcFs, viewer: &Arc<Task>, cred: &Cred, mask: u32) -> Option<Result<()>> {
        let task = self.pid.task()?;
        match self.what {
            PidWhat::Dir if !fs.may_see(viewer, &task, HidePid::NoAccess) => {
                Some(if fs.options().hide_pid == HidePid::Invisible {
                    Err(err!(ENOENT, "proc: hidepid=invisible"))
                } else {
                    Err(err!(EPERM, "proc: hidepid"))
                })
            }
            PidWhat::Entry(entry) => match entry.kind {
                // A process may always look at itself, even if it must not be dumped.
                Kind::FdDir if Arc::ptr_eq(viewer.group(), task.group()) => Some(Ok(())),
                Kind::FdInfoDir => Some(
                    ptrace_may_access(viewer, &task, PtraceMode::READ_FSCREDS)
                        .map_err(|_| err!(EACCES, "proc: fdinfo needs ptrace access")),
                ),
                _ => None,
            },
            _ => {
                let _ = (cred, mask);
                None
            }
        }
    }

    /// Finds a name in one of the directories.
    pub fn lookup(&self, fs: &Arc<ProcFs>, name: &[u8]) -> Result<PidNode> {
        let task = self.task()?;
        let what = match self.what {
            PidWhat::Dir => PID_ENTRIES
                .iter()
                .find(|entry| self.lists(entry) && entry.name.as_bytes() == name)
                .map(PidWhat::Entry)
                .ok_or(err!(ENOENT))?,
            PidWhat::Entry(entry) => match entry.kind {
                Kind::TaskDir => return self.lookup_thread(fs, &task, name),
                Kind::FdDir | Kind::FdInfoDir => {
                    let fd = Fd(parse_number(name).ok_or(err!(ENOENT))?);
                    files::file(&task, fd)?;
                    match entry.kind {
                        Kind::FdDir => PidWhat::Fd(fd),
                        _ => PidWhat::FdInfo(fd),
                    }
                }
                Kind::MapFilesDir => {
                    let viewer = fs.current().ok_or(err!(ENOENT))?;
                    may_list_maps(&viewer, &task)?;
                    let (start, end) = files::parse_range(name).ok_or(err!(ENOENT))?;
                    files::mapped(&task, start, end)?;
                    PidWhat::MapFile(start, end)
                }
                Kind::NsDir => ns::find(name).map(PidWhat::Ns).ok_or(err!(ENOENT))?,
                Kind::NetDir => {
                    let file = net::FILES.iter().find(|file| file.name.as_bytes() == name);
                    PidWhat::Net(file.ok_or(err!(ENOENT))?)
                }
                _ => bail!(ENOTDIR),
            },
            _ => bail!(ENOTDIR),
        };
        Ok(self.with(what))
    }

    fn lookup_thread(&self, fs: &Arc<ProcFs>, task: &Arc<Task>, name: &[u8]) -> Result<PidNode> {
        let nr = parse_number(name).ok_or(err!(ENOENT))?;
        let pid = fs.pid_ns.find(PidNr(nr)).ok_or(err!(ENOENT))?;
        let thread = pid.task().ok_or(err!(ENOENT))?;
        ensure!(
            Arc::ptr_eq(thread.group(), task.group()),
            ENOENT,
            "proc: a thread of another process"
        );
        Ok(PidNode {
            pid,
            thread: true,
            what: PidWhat::Dir,
        })
    }

    /// Lists one of the directories; position 2 is the first entry.
    pub fn readdir(&self, fs: &Arc<ProcFs>, offset: u64, sink: &mut DirSink<'_>) -> Result<()> {
        let task = self.task()?;
        let mut put = |name: &[u8], what: PidWhat, position: u64| {
            let node = self.with(what);
            sink(name, node.number(), node.file_type(), position + 1)
        };
        let skip = offset.saturating_sub(2);
        match self.what {
            PidWhat::Dir => {
                let listed = PID_ENTRIES.iter().filter(|entry| self.lists(entry));
                for (n, entry) in (2..).zip(listed).skip(skip as usize) {
                    if !put(entry.name.as_bytes(), PidWhat::Entry(entry), n) {
                        break;
                    }
                }
            }
            PidWhat::Entry(entry) => match entry.kind {
                Kind::TaskDir => {
                    for (n, thread) in (2..).zip(task.group().threads()).skip(skip as usize) {
                        let nr = thread.pid().nr_in(&fs.pid_ns);
                        if nr == PidNr(0) {
                            continue;
                        }
                        let node = PidNode {
                            pid: thread.pid().clone(),
                            thread: true,
                            what: PidWhat::Dir,
                        };
                        if !sink(
                            format!("{nr}").as_bytes(),
                            node.number(),
                            FileType::Directory,
                            n + 1,
                        ) {
                            break;
                        }
                    }
                }
                Kind::FdDir | Kind::FdInfoDir => {
                    let mut from = skip as u32;
                    while let Some((fd, _)) = files::next(&task, from) {
                        from = fd.0 as u32 + 1;
                        let what = match entry.kind {
                            Kind::FdDir => PidWhat::Fd(fd),
                            _ => PidWhat::FdInfo(fd),
                        };
                        if !put(format!("{fd}").as_bytes(), what, fd.0 as u64 + 2) {
                            break;
                        }
                    }
                }
                Kind::MapFilesDir => {
                    let viewer = fs.current().ok_or(err!(ENOENT))?;
                    may_list_maps(&viewer, &task)?;
                    let mm = task.try_mm();
                    // The position is the page behind the area.
                    let mut from = skip << PAGE_SHIFT;
                    while let Some((start, end)) = mm.as_ref().and_then(|mm| mm.next_mapped(from)) {
                        from = end;
                        let position = (end >> PAGE_SHIFT) + 1;
                        let name = format!("{start:x}-{end:x}");
                        if !put(name.as_bytes(), PidWhat::MapFile(start, end), position) {
                            break;
                        }
                    }
                }
                Kind::NsDir => {
                    for (n, link) in (2..).zip(ns::LINKS).skip(skip as usize) {
                        if !put(link.name.as_bytes(), PidWhat::Ns(*link), n) {
                            break;
                        }
                    }
                }
                Kind::NetDir => {
                    for (n, file) in (2..).zip(net::FILES).skip(skip as usize) {
                        if !put(file.name.as_bytes(), PidWhat::Net(file), n) {
                            break;
                        }
                    }
                }
                _ => bail!(ENOTDIR),
            },
            _ => bail!(ENOTDIR),
        }
        Ok(())
    }

    fn may_follow(&self, viewer: &Arc<Task>) -> Result<Arc<Task>> {
        let task = self.task()?;
        ptrace_may_access(viewer, &task, PtraceMode::READ_FSCREDS)
            .map_err(|_| err!(EACCES, "proc: the link needs ptrace access"))?;
        Ok(task)
    }

    fn target(&self, task: &Arc<Task>) -> Result<Path> {
        match self.what {
            PidWhat::Entry(PidEntry {
                kind: Kind::Link(link),
                ..
            }) => link(task),
            PidWhat::Fd(fd) => Ok(files::file(task, fd)?.path.clone()),
            PidWhat::MapFile(start, end) => Ok(files::mapped(task, start, end)?.0.path.clone()),
            PidWhat::Ns(link) => ns::path(task, link),
            _ => bail!(EINVAL, "not a symlink"),
        }
    }

    /// Where a link leads.
    pub fn magic_link(&self, _fs: &ProcFs, viewer: &Arc<Task>) -> Option<Result<Path>> {
        if self.file_type() != FileType::Symlink {
            return None;
        }
        if let PidWhat::MapFile(..) = self.what
            && !files::may_open_mapped(viewer)
        {
            return Some(Err(err!(EPERM, "map_files: no CAP_CHECKPOINT_RESTORE")));
        }
        Some(self.may_follow(viewer).and_then(|task| self.target(&task)))
    }

    /// The text of a link: the path as the reader sees it.
    pub fn readlink(&self, _fs: &ProcFs, viewer: &Arc<Task>) -> Result<Vec<u8>> {
        ensure!(self.file_type() == FileType::Symlink, EINVAL, "not a symlink");
        let task = self.may_follow(viewer)?;
        if let PidWhat::Ns(link) = self.what {
            return ns::link_text(&task, link);
        }
        links::path_text(viewer, &self.target(&task)?)
    }

    /// Opens a file.
    pub fn open(
        &self,
        fs: &Arc<ProcFs>,
        opener: &Arc<Task>,
        flags: OpenFlags,
    ) -> Result<Option<Arc<dyn FileOps>>> {
        if self.file_type() != FileType::Regular {
            return Ok(None);
        }
        let task = self.pid.task().ok_or(err!(ESRCH))?;
        let mut mm = None;
        let mut event = None;
        let mut user_ns = None;
        if let PidWhat::Entry(entry) = self.what {
            match entry.kind {
                Kind::Mm(_) | Kind::Mem | Kind::Pagemap => {
                    let mode = if let Kind::Mem = entry.kind {
                        PtraceMode::ATTACH_FSCREDS
                    } else {
                        PtraceMode::READ_FSCREDS
                    };
                    ptrace_may_access(opener, &task, mode)
                        .map_err(|_| err!(EACCES, "proc: the file needs ptrace access"))?;
                    mm = task.try_mm().map(|mm| Arc::downgrade(&mm));
                    match entry.kind {
                        Kind::Mem => return Ok(Some(Arc::new(super::mem::MemFile::new(mm)))),
                        Kind::Pagemap => return Ok(Some(Arc::new(PagemapFile { mm }))),
                        _ => {}
                    }
                }
                Kind::UserNs(..) => {
                    let ns = task.user_ns();
                    ensure!(
                        entry.name != "setgroups"
                            || !flags.writable()
                            || opener.cred().ns_capable(&ns, Capability::SYS_ADMIN),
                        EACCES,
                        "setgroups: no CAP_SYS_ADMIN in the namespace"
                    );
                    user_ns = Some(ns);
                }
                Kind::Mounts(_) => event = Some(mounts::event(&task)?),
                _ => {}
            }
        }
        Ok(Some(SeqFile::open(Box::new(PidText {
            fs: fs.clone(),
            node: self.clone(),
            mm,
            user_ns,
            event,
        }))))
    }
}

/// What a process maps may be listed by those who may trace it.
fn may_list_maps(viewer: &Arc<Task>, task: &Arc<Task>) -> Result<()> {
    ptrace_may_access(viewer, task, PtraceMode::READ_FSCREDS)
        .map_err(|_| err!(EACCES, "proc: map_files needs ptrace access"))
}

/// The text of a file of a task.
struct PidText {
    fs: Arc<ProcFs>,
    node: PidNode,
    mm: Option<Weak<Mm>>,
    user_ns: Option<Arc<UserNamespace>>,
    event: Option<Arc<dyn Event>>,
}

impl PidText {
    fn with<R>(&self, cx: &SeqCx<'_>, f: impl FnOnce(&PidCx<'_>) -> Result<R>) -> Result<R> {
        let task = self.node.pid.task().ok_or(err!(ESRCH))?;
        f(&PidCx {
            kernel: cx.task.kernel(),
            pid_ns: &self.fs.pid_ns,
            reader: cx.task,
            cred: &cx.file.cred,
            task: &task,
            thread: self.node.thread,
        })
    }
}

impl SeqSource for PidText {
    fn show(&self, cx: &SeqCx<'_>, out: &mut SeqBuf) -> Result<()> {
        if let (Some(ns), Some(Kind::UserNs(show, _))) = (&self.user_ns, self.kind()) {
            return show(ns, &cx.file.cred, out);
        }
        self.with(cx, |cx| match self.node.what {
            PidWhat::Entry(entry) => match &entry.kind {
                Kind::Text(show) | Kind::Mounts(show) | Kind::Setting(Some(show), _) => show(cx, out),
                Kind::Mm(show) => match self.mm.as_ref().and_then(Weak::upgrade) {
                    Some(mm) => show(cx, &mm, out),
                    None => Ok(()),
                },
                _ => bail!(EINVAL),
            },
            PidWhat::FdInfo(fd) => files::fdinfo(cx, fd, out),
            PidWhat::Net(file) => file.show(cx, out),
            _ => bail!(EINVAL),
        })
    }
    fn write(&self, cx: &SeqCx<'_>, offset: u64, data: &[u8]) -> Result<usize> {
        ensure!(
            offset == 0 || !self.at_once(),
            EINVAL,
            "proc: written at once, at the start"
        );
        match (self.kind(), &self.user_ns) {
            (Some(Kind::Setting(_, store)), _) => self.with(cx, |cx| store(cx, data)),
            (Some(Kind::UserNs(_, store)), Some(ns)) => store(ns, &cx.file.cred, cx.task, data),
            _ => bail!(EINVAL, "proc: the file takes no writes"),
        }
    }
    fn max_write(&self) -> usize {
        // A page or more is refused, not cut.
        if self.at_once() { PAGE_SIZE } else { PAGE_SIZE - 1 }
    }
    fn pwritable(&self) -> bool {
        !self.at_once()
    }
    fn write_moves(&self) -> bool {
        !self.is_timens_offsets()
    }
    fn event(&self) -> Option<(&WaitQueue, u64)> {
        let event = self.event.as_ref()?;
        Some((event.queue(), event.count()))
    }
}

impl PidText {
    fn kind(&self) -> Option<&'static Kind> {
        match self.node.what {
            PidWhat::Entry(entry) => Some(&entry.kind),
            _ => None,
        }
    }
    /// Maps and offsets are written as a whole; other settings ignore the position.
    fn at_once(&self) -> bool {
        self.user_ns.is_some() || self.is_timens_offsets()
    }
    fn is_timens_offsets(&self) -> bool {
        matches!(self.node.what, PidWhat::Entry(entry) if entry.name == "timens_offsets")
    }
}
