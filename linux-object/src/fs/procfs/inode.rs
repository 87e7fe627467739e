//! The one type of inode, and how the trees hang together.

use alloc::boxed::Box;
use alloc::format;
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::any::Any;

use super::base::PidNode;
use super::options::HidePid;
use super::sysctl::conf::ConfNode;
use super::sysctl::{self, SYSCTLS, Sysctl, Value};
use super::system::{FILES, StaticFile, StaticKind};
use super::{ProcCx, ProcFs};
use crate::cred::Cred;
use crate::error::Result;
use crate::fs::pseudo::{self, Found, PathEntry, PseudoAttr, inode_number};
use crate::fs::seq_file::{SeqBuf, SeqCx, SeqFile, SeqSource};
use crate::fs::{DirSink, FileOps, FileType, INode, InodeCommon, Metadata, OpenFlags, Path, SetAttr};
use crate::ids::PidNr;
use crate::namespace::{IpcNamespace, PidNamespace};
use crate::sync::WaitQueue;
use crate::task::Task;
use crate::{bail, ensure, err};

/// What an inode is.
#[derive(Clone)]
pub(super) enum Node {
    Root,
    /// A directory of the tables, with its path.
    Dir(&'static str),
    /// A file of the tables.
    Entry(Entry),
    SelfLink,
    ThreadSelfLink,
    /// Settings of a network device.
    NetConf(ConfNode),
    /// Something that belongs to a task.
    Pid(PidNode),
}

/// A line of a table.
#[derive(Clone, Copy)]
pub(super) enum Entry {
    File(&'static StaticFile),
    Sysctl(&'static Sysctl),
}

impl PathEntry for Entry {
    fn path(&self) -> &'static str {
        match self {
            Entry::File(file) => file.path,
            Entry::Sysctl(sysctl) => sysctl.path,
        }
    }
}

/// The lines that are there for this reader.
fn entries(reader: Option<Arc<Task>>) -> impl Iterator<Item = Entry> {
    let sysctls = SYSCTLS
        .iter()
        .filter(move |sysctl| sysctl.is_visible(reader.as_ref()));
    FILES.iter().map(Entry::File).chain(sysctls.map(Entry::Sysctl))
}

/// Root directory positions: the tables come first, the links, then tasks by number.
const SELF_POSITION: u64 = 256;
const THREAD_SELF_POSITION: u64 = 257;
const FIRST_PID_POSITION: u64 = 258;

/// An inode of procfs.
pub(super) struct ProcInode {
    pub fs: Arc<ProcFs>,
    pub node: Node,
    common: InodeCommon,
}

impl ProcInode {
    pub fn new(fs: &Arc<ProcFs>, node: Node) -> Arc<ProcInode> {
        Arc::new(ProcInode {
            fs: fs.clone(),
            node,
            common: InodeCommon::default(),
        })
    }

    fn found(&self, found: Found<Entry>) -> Arc<dyn INode> {
        let node = match found {
            Found::Dir(path) => Node::Dir(path),
            Found::Leaf(entry) => Node::Entry(entry),
        };
        ProcInode::new(&self.fs, node)
    }

    fn found_conf(&self, children: Vec<(Vec<u8>, ConfNode)>, name: &[u8]) -> Result<Arc<dyn INode>> {
        let found = children.into_iter().find(|(child, _)| child == name);
        let (_, node) = found.ok_or(err!(ENOENT))?;
        Ok(ProcInode::new(&self.fs, Node::NetConf(node)))
    }

    fn attr(&self) -> PseudoAttr {
        let (number, file_type, mode) = match &self.node {
            Node::Root => (1, FileType::Directory, 0o555),
            Node::Dir(path) => (inode_number(0, path.as_bytes()), FileType::Directory, 0o555),
            Node::Entry(entry) => {
                let (file_type, mode) = match entry {
                    Entry::File(file) => (file.file_type(), file.mode),
                    Entry::Sysctl(sysctl) => (FileType::Regular, sysctl.mode),
                };
                (inode_number(0, entry.path().as_bytes()), file_type, mode)
            }
            Node::SelfLink => (2, FileType::Symlink, 0o777),
            Node::ThreadSelfLink => (3, FileType::Symlink, 0o777),
            Node::NetConf(node) => (node.number(), node.file_type(), node.mode()),
            Node::Pid(node) => return node.attr(&self.fs),
        };
        let mut attr = PseudoAttr::new(number, file_type, mode, self.fs.time);
        if let Node::Entry(Entry::Sysctl(Sysctl {
            value: Value::Ipc(_), ..
        })) = &self.node
            && let Some(nsproxy) = self.fs.current().and_then(|task| task.try_nsproxy())
        {
            (attr.uid, attr.gid) = sysctl::ipc::owner(&nsproxy.ipc_ns);
        }
        if let Node::Entry(Entry::Sysctl(sysctl)) = &self.node
            && sysctl.is_net()
            && let Some(nsproxy) = self.fs.current().and_then(|task| task.try_nsproxy())
        {
            (attr.uid, attr.gid) = sysctl::net_owner(nsproxy.net_ns.user_ns());
        }
        attr
    }

    fn lookup_root(&self, name: &[u8]) -> Result<Arc<dyn INode>> {
        match name {
            b"self" => return Ok(ProcInode::new(&self.fs, Node::SelfLink)),
            b"thread-self" => return Ok(ProcInode::new(&self.fs, Node::ThreadSelfLink)),
            _ => {}
        }
        if !self.fs.options().pid_only
            && let Some(found) = pseudo::find(entries(self.fs.current()), "", name)
        {
            return Ok(self.found(found));
        }
        let nr = parse_number(name).ok_or(err!(ENOENT))?;
        let pid = self.fs.pid_ns.find(PidNr(nr)).ok_or(err!(ENOENT))?;
        let task = pid.task().ok_or(err!(ENOENT))?;
        if let Some(viewer) = self.fs.current() {
            let visible = self.fs.may_see(&viewer, &task, HidePid::Invisible);
            ensure!(visible, ENOENT, "proc: hidepid");
        }
        Ok(ProcInode::new(&self.fs, Node::Pid(PidNode::process(pid))))
    }

    fn readdir_root(&self, offset: u64, sink: &mut DirSink<'_>) -> Result<()> {
        if !self.fs.options().pid_only && !self.readdir_table("", offset, sink) {
            return Ok(());
        }
        let links = [
            (SELF_POSITION, &b"self"[..], 2),
            (THREAD_SELF_POSITION, b"thread-self", 3),
        ];
        for (position, name, number) in links {
            if offset <= position && !sink(name, number, FileType::Symlink, position + 1) {
                return Ok(());
            }
        }
        let mut from = offset.saturating_sub(FIRST_PID_POSITION).max(1) as i32;
        let viewer = self.fs.current();
        while let Some((nr, pid)) = self.fs.pid_ns.next_from(PidNr(from)) {
            from = nr.0 + 1;
            let Some(group) = pid.group() else { continue };
            let Some(leader) = group.leader() else { continue };
            if let Some(viewer) = &viewer
                && !self.fs.may_see(viewer, &leader, HidePid::Invisible)
            {
                continue;
            }
            let node = PidNode::process(pid);
            let name = format!("{nr}");
            let next = FIRST_PID_POSITION + from as u64;
            if !sink(name.as_bytes(), node.number(), FileType::Directory, next) {
                break;
            }
        }
        Ok(())
    }

    /// The entries of a table directory from position `offset` (2 is the first). False if `sink`
    /// stopped.
    fn readdir_table(&self, dir: &str, offset: u64, sink: &mut DirSink<'_>) -> bool {
        let skip = offset.saturating_sub(2) as usize;
        for (n, (name, found)) in pseudo::children(entries(self.fs.current()), dir)
            .enumerate()
            .skip(skip)
        {
            let (path, file_type) = match found {
                Found::Dir(path) => (path, FileType::Directory),
                Found::Leaf(Entry::File(file)) => (file.path, file.file_type()),
                Found::Leaf(Entry::Sysctl(sysctl)) => (sysctl.path, FileType::Regular),
            };
            let number = inode_number(0, path.as_bytes());
            if !sink(name.as_bytes(), number, file_type, n as u64 + 3) {
                return false;
            }
        }
        true
    }

    /// The reader's own number in this mount's pid namespace; `ENOENT` if it has none.
    fn own_number(&self, thread: bool) -> Result<Vec<u8>> {
        let task = self.fs.current().ok_or(err!(ENOENT))?;
        let tgid = task.group().tgid.nr_in(&self.fs.pid_ns);
        ensure!(
            tgid != PidNr(0),
            ENOENT,
            "proc: not visible in this pid namespace"
        );
        Ok(if thread {
            format!("{tgid}/task/{}", task.pid().nr_in(&self.fs.pid_ns)).into_bytes()
        } else {
            format!("{tgid}").into_bytes()
        })
    }
}

/// A pid as a name: digits without a leading zero.
pub(super) fn parse_number(name: &[u8]) -> Option<i32> {
    if name.is_empty()
        || name.len() > 10
        || !name.iter().all(u8::is_ascii_digit)
        || (name[0] == b'0' && name.len() > 1)
    {
        return None;
    }
    core::str::from_utf8(name).ok()?.parse().ok()
}

impl INode for ProcInode {
    fn metadata(&self) -> Metadata {
        let mut attr = self.attr();
        match &self.node {
            Node::Root => {
                let processes = self
                    .fs
                    .kernel
                    .upgrade()
                    .map_or(0, |kernel| kernel.tasks.nr_threads());
                attr.nlink = 2 + pseudo::count_dirs(entries(self.fs.current()), "") + processes as u32;
            }
            Node::Dir(path) => attr.nlink = 2 + pseudo::count_dirs(entries(self.fs.current()), path),
            _ => {}
        }
        attr.metadata()
    }
    fn file_type(&self) -> FileType {
        match &self.node {
            Node::Pid(node) => node.file_type(),
            _ => self.attr().file_type,
        }
    }
    fn common(&self) -> &InodeCommon {
        &self.common
    }
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn permission(&self, task: &Arc<Task>, cred: &Cred, mask: u32) -> Option<Result<()>> {
        match &self.node {
            Node::Entry(Entry::Sysctl(sysctl)) => Some(sysctl.permission(task, cred, mask)),
            Node::NetConf(node) => Some(node.permission(task, mask)),
            Node::Pid(node) => node.permission(&self.fs, task, cred, mask),
            _ => None,
        }
    }

    fn setattr(&self, attr: &SetAttr) -> Result<()> {
        // `O_TRUNC` is without effect; times may be set and are not kept.
        ensure!(
            attr.mode.is_none() && attr.uid.is_none() && attr.gid.is_none(),
            EPERM,
            "proc: mode and owner follow the task"
        );
        Ok(())
    }

    fn lookup(&self, name: &[u8]) -> Result<Arc<dyn INode>> {
        match &self.node {
            Node::Root => self.lookup_root(name),
            Node::Dir(path) => {
                if let Some(children) = sysctl::conf::dir(path, self.fs.current().as_ref()) {
                    return self.found_conf(children, name);
                }
                let found = pseudo::find(entries(self.fs.current()), path, name).ok_or(err!(ENOENT))?;
                Ok(self.found(found))
            }
            Node::NetConf(node) => self.found_conf(node.children(), name),
            Node::Pid(node) => Ok(ProcInode::new(&self.fs, Node::Pid(node.lookup(&self.fs, name)?))),
            _ => bail!(ENOTDIR),
        }
    }
    fn has_negative_names(&self) -> bool {
        false
    }
    fn revalidate(&self) -> bool {
        match &self.node {
            Node::Pid(node) => node.is_alive(),
            // The same name may lead to another namespace's device.
            Node::NetConf(_) => false,
            Node::Entry(Entry::Sysctl(sysctl)) => sysctl.is_visible(self.fs.current().as_ref()),
            _ => true,
        }
    }
    fn readdir(&self, offset: u64, sink: &mut DirSink<'_>) -> Result<()> {
        match &self.node {
            Node::Root => self.readdir_root(offset, sink),
            Node::Dir(path) => {
                match sysctl::conf::dir(path, self.fs.current().as_ref()) {
                    Some(children) => list_conf(&children, offset, sink),
                    None => {
                        self.readdir_table(path, offset, sink);
                    }
                }
                Ok(())
            }
            Node::NetConf(node) if node.file_type() == FileType::Directory => {
                list_conf(&node.children(), offset, sink);
                Ok(())
            }
            Node::Pid(node) => node.readdir(&self.fs, offset, sink),
            _ => bail!(ENOTDIR),
        }
    }

    fn readlink(&self) -> Result<Vec<u8>> {
        match &self.node {
            Node::SelfLink => self.own_number(false),
            Node::ThreadSelfLink => self.own_number(true),
            Node::Entry(Entry::File(StaticFile {
                kind: StaticKind::Link(target),
                ..
            })) => Ok(target.as_bytes().to_vec()),
            Node::Pid(node) => {
                let reader = self.fs.current().ok_or(err!(ENOENT))?;
                node.readlink(&self.fs, &reader)
            }
            _ => bail!(EINVAL, "not a symlink"),
        }
    }
    fn magic_link(&self, task: &Arc<Task>) -> Option<Result<Path>> {
        match &self.node {
            Node::Pid(node) => node.magic_link(&self.fs, task),
            _ => None,
        }
    }

    fn open(&self, task: &Arc<Task>, flags: OpenFlags) -> Result<Option<Arc<dyn FileOps>>> {
        match &self.node {
            Node::Entry(Entry::File(StaticFile {
                kind: StaticKind::Ops(open),
                ..
            })) => open(task, flags).map(Some),
            Node::Entry(entry) if self.file_type() == FileType::Regular => {
                Ok(Some(SeqFile::open(Box::new(EntryText {
                    entry: *entry,
                    pid_ns: self.fs.pid_ns.clone(),
                    ipc_ns: OpenerIpc::new(task, entry),
                    cgview: self.fs.options().cgview,
                    event: match entry {
                        Entry::Sysctl(sysctl) => sysctl.event(task),
                        Entry::File(_) => None,
                    },
                }))))
            }
            Node::NetConf(node) if node.file_type() == FileType::Regular => {
                let text = ConfText { node: *node };
                Ok(Some(SeqFile::open(Box::new(text))))
            }
            Node::Pid(node) => node.open(&self.fs, task, flags),
            _ => Ok(None),
        }
    }
}

fn list_conf(children: &[(Vec<u8>, ConfNode)], offset: u64, sink: &mut DirSink<'_>) {
    let skip = offset.saturating_sub(2) as usize;
    for (next, (name, node)) in (3..).zip(children).skip(skip) {
        if !sink(name, node.number(), node.file_type(), next) {
            break;
        }
    }
}

/// The text of a setting of a network device.
struct ConfText {
    node: ConfNode,
}

impl ConfText {
    fn with<R>(&self, cx: &SeqCx<'_>, f: impl FnOnce(&ProcCx<'_>) -> R) -> R {
        f(&ProcCx {
            kernel: cx.task.kernel(),
            reader: cx.task,
            pid_ns: cx.task.pid_ns(),
            ipc_ns: None,
            cgview: false,
        })
    }
}

impl SeqSource for ConfText {
    fn show(&self, cx: &SeqCx<'_>, out: &mut SeqBuf) -> Result<()> {
        self.with(cx, |cx| self.node.show(cx, out))
    }
    fn write(&self, cx: &SeqCx<'_>, offset: u64, data: &[u8]) -> Result<usize> {
        self.with(cx, |cx| self.node.write(cx, offset, data))
    }
}

/// Something that changes and tells so (`poll(2)` on a file of procfs).
pub(crate) trait Event: Send + Sync + 'static {
    /// Woken at each change.
    fn queue(&self) -> &WaitQueue;
    /// Number of changes so far.
    fn count(&self) -> u64;
}

/// The IPC namespace that the opener was in. A list of its objects keeps it, a setting does not.
struct OpenerIpc {
    ns: Weak<IpcNamespace>,
    _kept: Option<Arc<IpcNamespace>>,
}

impl OpenerIpc {
    fn new(task: &Task, entry: &Entry) -> OpenerIpc {
        let ns = task.try_nsproxy().map(|nsproxy| nsproxy.ipc_ns.clone());
        let keeps = matches!(entry, Entry::File(file) if file.path.starts_with("sysvipc/"));
        OpenerIpc {
            ns: ns.as_ref().map(Arc::downgrade).unwrap_or_default(),
            _kept: ns.filter(|_| keeps),
        }
    }
}

/// The text of a line of the tables.
struct EntryText {
    entry: Entry,
    pid_ns: Arc<PidNamespace>,
    ipc_ns: OpenerIpc,
    cgview: bool,
    event: Option<Arc<dyn Event>>,
}

impl EntryText {
    fn with<R>(&self, cx: &SeqCx<'_>, f: impl FnOnce(&ProcCx<'_>) -> R) -> R {
        f(&ProcCx {
            kernel: cx.task.kernel(),
            reader: cx.task,
            pid_ns: &self.pid_ns,
            ipc_ns: self.ipc_ns.ns.upgrade(),
            cgview: self.cgview,
        })
    }
}

impl SeqSource for EntryText {
    fn show(&self, cx: &SeqCx<'_>, out: &mut SeqBuf) -> Result<()> {
        self.with(cx, |cx| match &self.entry {
            Entry::File(file) => match file.kind {
                StaticKind::Text(show) => show(cx, out),
                _ => bail!(EINVAL),
            },
            Entry::Sysctl(sysctl) => sysctl.show(cx, out),
        })
    }
    fn write(&self, cx: &SeqCx<'_>, offset: u64, data: &[u8]) -> Result<usize> {
        self.with(cx, |cx| match &self.entry {
            Entry::File(_) => bail!(EIO, "proc: the file takes no writes"),
            Entry::Sysctl(sysctl) => sysctl.write(cx, offset, data),
        })
    }
    fn event(&self) -> Option<(&WaitQueue, u64)> {
        let event = self.event.as_ref()?;
        Some((event.queue(), event.count()))
    }
}
