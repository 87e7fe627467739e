//! sysfs: the machine and the kernel's objects as files (`sysfs(5)`).
//!
//! Model: a table of paths ([`FILES`]) with three kinds of directories that are filled as one looks:
//! `devices/system/cpu/cpuN`, the links to them in the one node's directory (see [`node`]), and
//! `kernel/namespaces/KOID` with a directory for every living namespace (see [`namespaces`]); the network devices are
//! those of one namespace (see [`net`]). Only what is true is there. A superblock belongs to a network namespace, as
//! in Linux, and is shared by all mounts made in it.

mod cpu;
mod namespaces;
mod net;
mod node;

use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::any::Any;
use core::sync::atomic::Ordering;

use self::net::NetNode;
use super::fs_context::param::{Kind, Param, Spec, parse};
use super::fs_context::{ContextInit, ContextOps, MountRequest, ParamCx, Tree};
use super::pseudo::{self, Found, PathEntry, PseudoAttr, inode_number};
use super::seq_file::{SeqBuf, SeqCx, SeqFile, SeqSource};
use super::{
    DirSink, FileOps, FileSystem, FileSystemType, FileTime, FileType, FsInfo, INode, InodeCommon, Metadata,
    OpenFlags, SbFlags, SetAttr, SuperBlock,
};
use crate::cgroup::view::View;
use crate::cred::Capability;
use crate::error::Result;
use crate::ids::{CpuId, KoID};
use crate::kernel::Kernel;
use crate::namespace::{NetNamespace, UserNamespace};
use crate::net::stack::NetStack;
use crate::sched::CpuMask;
use crate::sync::{SpinLock, class};
use crate::task::Task;
use crate::{bail, ensure, err};

/// `SYSFS_MAGIC`.
pub const SYSFS_MAGIC: u64 = 0x6265_6572;

/// What a line of the table is.
enum Content {
    Dir,
    Text(fn(&Arc<Kernel>, &mut SeqBuf) -> Result<()>),
    /// The CPUs that there are, as a list.
    Cpus,
    /// Likewise, as a mask.
    CpuMap,
    /// What is in the node's memory.
    NodeMemory,
}

/// A line of the table.
struct SysFile {
    path: &'static str,
    content: Content,
}

impl PathEntry for &'static SysFile {
    fn path(&self) -> &'static str {
        self.path
    }
}

const fn dir(path: &'static str) -> SysFile {
    let content = Content::Dir;
    SysFile { path, content }
}
const fn text(path: &'static str, show: fn(&Arc<Kernel>, &mut SeqBuf) -> Result<()>) -> SysFile {
    let content = Content::Text(show);
    SysFile { path, content }
}
const fn cpus(path: &'static str) -> SysFile {
    let content = Content::Cpus;
    SysFile { path, content }
}

const CPU_DIR: &str = "devices/system/cpu";
const NAMESPACE_DIR: &str = "kernel/namespaces";

/// Every file and empty directory.
static FILES: &[SysFile] = &[
    dir("block/"),
    dir("bus/"),
    dir("class/net/"),
    dir("dev/block/"),
    dir("dev/char/"),
    text(
        "devices/system/clocksource/clocksource0/available_clocksource",
        |_, out| writeln!(out, "{CLOCKSOURCE} "),
    ),
    text(
        "devices/system/clocksource/clocksource0/current_clocksource",
        |_, out| writeln!(out, "{CLOCKSOURCE}"),
    ),
    text("devices/system/cpu/kernel_max", cpu::kernel_max),
    text("devices/system/cpu/offline", cpu::offline),
    cpus("devices/system/cpu/online"),
    cpus("devices/system/cpu/possible"),
    cpus("devices/system/cpu/present"),
    text("devices/system/node/has_cpu", node_0),
    text("devices/system/node/has_memory", node_0),
    text("devices/system/node/has_normal_memory", node_0),
    cpus("devices/system/node/node0/cpulist"),
    SysFile {
        path: "devices/system/node/node0/cpumap",
        content: Content::CpuMap,
    },
    // To itself.
    text("devices/system/node/node0/distance", |_, out| writeln!(out, "10")),
    SysFile {
        path: "devices/system/node/node0/meminfo",
        content: Content::NodeMemory,
    },
    text("devices/system/node/online", node_0),
    text("devices/system/node/possible", node_0),
    dir("devices/virtual/net/"),
    dir("firmware/"),
    dir("fs/cgroup/"),
    text("kernel/cgroup/delegate", crate::cgroup::proc::delegate),
    text("kernel/cgroup/features", crate::cgroup::proc::features),
    // File capabilities are obeyed.
    text("kernel/fscaps", |_, out| writeln!(out, "1")),
    text("kernel/namespaces/list", namespaces::list),
    text("kernel/namespaces/tree", namespaces::tree),
    text("kernel/uevent_seqnum", uevent_seqnum),
    dir("module/"),
    dir("power/"),
];

/// Time comes from the cycle counter, and from nothing else.
const CLOCKSOURCE: &str = "tsc";

/// A list of nodes: the one.
fn node_0(_kernel: &Arc<Kernel>, out: &mut SeqBuf) -> Result<()> {
    writeln!(out, "0")
}

fn uevent_seqnum(kernel: &Arc<Kernel>, out: &mut SeqBuf) -> Result<()> {
    let stack = kernel.init_ns.net_ns.stack();
    writeln!(out, "{}", stack.shared.uevent_seqnum.load(Ordering::Relaxed))
}

/// What an inode is.
#[derive(Clone, Copy)]
enum Node {
    Dir(&'static str),
    File(&'static SysFile),
    Cpu(CpuId),
    /// `cpuN/topology`.
    Topology(CpuId),
    TopologyFile(CpuId, &'static cpu::TopologyFile),
    /// `cpuN/node0`, a link to the node.
    HomeLink(CpuId),
    /// `node0/cpuN`, a link to the CPU.
    CpuLink(CpuId),
    Namespace(KoID),
    NamespaceFile(KoID, &'static namespaces::NsFile),
    Net(NetNode),
}

impl Node {
    fn is_dir(&self) -> bool {
        match self {
            Node::Net(node) => node.file_type() == FileType::Directory,
            _ => matches!(
                self,
                Node::Dir(_) | Node::Cpu(_) | Node::Topology(_) | Node::Namespace(_)
            ),
        }
    }
    fn number(&self) -> u64 {
        match self {
            Node::Dir("") => 1,
            Node::Dir(path) => inode_number(0, path.as_bytes()),
            Node::File(file) => inode_number(0, file.path.as_bytes()),
            Node::Cpu(cpu) => inode_number(cpu.0 as u64, b"cpu"),
            Node::Topology(cpu) => inode_number(cpu.0 as u64, b"topology"),
            Node::TopologyFile(cpu, file) => inode_number(cpu.0 as u64, file.name.as_bytes()),
            Node::HomeLink(cpu) => inode_number(cpu.0 as u64, b"node of cpu"),
            Node::CpuLink(cpu) => inode_number(cpu.0 as u64, b"cpu of node"),
            Node::Namespace(koid) => inode_number(koid.0, b"ns"),
            Node::NamespaceFile(koid, file) => inode_number(koid.0, format!("ns/{}", file.name).as_bytes()),
            Node::Net(node) => node.number(0),
        }
    }
    fn file_type(&self) -> FileType {
        if let Node::Net(node) = self {
            node.file_type()
        } else if let Node::HomeLink(_) | Node::CpuLink(_) = self {
            FileType::Symlink
        } else if self.is_dir() {
            FileType::Directory
        } else {
            FileType::Regular
        }
    }
}

/// The content of a superblock.
struct SysFs {
    this: Weak<SysFs>,
    kernel: Weak<Kernel>,
    net: Weak<NetStack>,
    /// `cgview`: the CPUs are those of the reader's container (see [`crate::cgroup::view`]).
    cgview: bool,
    time: FileTime,
}

impl SysFs {
    fn cpus(&self, kernel: &Kernel, reader: Option<&Arc<Task>>) -> CpuMask {
        let view = reader.filter(|_| self.cgview).and_then(View::of);
        view.map_or_else(|| kernel.sched.cpu_mask(), |view| view.cpus())
    }
}

impl FileSystem for SysFs {
    fn name(&self) -> &'static str {
        "sysfs"
    }
    fn root_inode(&self) -> Arc<dyn INode> {
        SysInode::new(self.this.clone(), Node::Dir(""), self.time)
    }
    fn info(&self) -> FsInfo {
        FsInfo {
            magic: SYSFS_MAGIC,
            block_size: 4096,
            name_max: 255,
            ..FsInfo::default()
        }
    }
    fn show_options(&self, out: &mut String) {
        if self.cgview {
            out.push_str(",cgview");
        }
    }
    fn cacheable(&self) -> bool {
        false
    }
}

struct SysInode {
    fs: Weak<SysFs>,
    node: Node,
    time: FileTime,
    common: InodeCommon,
}

impl SysInode {
    fn new(fs: Weak<SysFs>, node: Node, time: FileTime) -> Arc<SysInode> {
        Arc::new(SysInode {
            fs,
            node,
            time,
            common: InodeCommon::default(),
        })
    }
    fn kernel(&self) -> Result<Arc<Kernel>> {
        let fs = self.fs.upgrade().ok_or(err!(ENOENT))?;
        fs.kernel.upgrade().ok_or(err!(ENOENT))
    }
    /// The network namespace of the mount, while it is there.
    fn net(&self) -> Option<Arc<NetStack>> {
        self.fs.upgrade()?.net.upgrade()
    }
    /// The CPUs that the caller sees.
    fn cpus(&self, kernel: &Kernel) -> CpuMask {
        let current = kernel.sched.try_current();
        let fs = self.fs.upgrade();
        fs.map_or(CpuMask::EMPTY, |fs| fs.cpus(kernel, current.as_ref()))
    }
    fn child(&self, node: Node) -> Arc<dyn INode> {
        SysInode::new(self.fs.clone(), node, self.time)
    }

    fn lookup_in(&self, path: &'static str, name: &[u8]) -> Result<Node> {
        match pseudo::find(FILES.iter(), path, name) {
            Some(Found::Dir(path)) => return Ok(Node::Dir(path)),
            Some(Found::Leaf(file)) => return Ok(Node::File(file)),
            None => {}
        }
        let kernel = self.kernel()?;
        match path {
            CPU_DIR => cpu::find(self.cpus(&kernel), name).map(Node::Cpu),
            node::NODE_DIR => cpu::find(self.cpus(&kernel), name).map(Node::CpuLink),
            NAMESPACE_DIR => namespaces::find(&kernel, name).map(Node::Namespace),
            net::CLASS_DIR | net::DEVICES_DIR | net::ROOT_DIR => {
                let devices = net::devices(&*self.net().ok_or(err!(ENOENT))?, path);
                let found = devices.into_iter().find(|(child, _)| child == name);
                found.map(|(_, node)| Node::Net(node))
            }
            _ => None,
        }
        .ok_or(err!(ENOENT))
    }

    /// The children in order: those of the table, then those that are made.
    fn children(&self) -> Result<Vec<(Vec<u8>, Node)>> {
        let kernel = self.kernel()?;
        let mut list = Vec::new();
        match self.node {
            Node::Dir(path) => {
                for (name, found) in pseudo::children(FILES.iter(), path) {
                    let node = match found {
                        Found::Dir(path) => Node::Dir(path),
                        Found::Leaf(file) => Node::File(file),
                    };
                    list.push((name.into(), node));
                }
                match path {
                    CPU_DIR => list.extend(
                        self.cpus(&kernel)
                            .iter()
                            .map(|cpu| (format!("cpu{cpu}").into_bytes(), Node::Cpu(cpu))),
                    ),
                    node::NODE_DIR => list.extend(
                        self.cpus(&kernel)
                            .iter()
                            .map(|cpu| (format!("cpu{cpu}").into_bytes(), Node::CpuLink(cpu))),
                    ),
                    NAMESPACE_DIR => list.extend(kernel.namespaces.list().iter().map(|ns| {
                        let koid = ns.common().koid();
                        (format!("{koid}").into_bytes(), Node::Namespace(koid))
                    })),
                    net::CLASS_DIR | net::DEVICES_DIR | net::ROOT_DIR => {
                        if let Some(stack) = self.net() {
                            let devices = net::devices(&stack, path);
                            list.extend(devices.into_iter().map(|(name, node)| (name, Node::Net(node))));
                        }
                    }
                    _ => {}
                }
            }
            Node::Net(node) => {
                ensure!(
                    node.file_type() == FileType::Directory,
                    ENOTDIR,
                    "not a directory"
                );
                let children = self.net().map(|stack| node.children(&stack)).unwrap_or_default();
                list.extend(children.into_iter().map(|(name, node)| (name, Node::Net(node))));
            }
            Node::Cpu(cpu) => {
                list.push((b"node0".into(), Node::HomeLink(cpu)));
                list.push((b"topology".into(), Node::Topology(cpu)));
            }
            Node::Topology(cpu) => list.extend(
                cpu::TOPOLOGY
                    .iter()
                    .map(|file| (file.name.into(), Node::TopologyFile(cpu, file))),
            ),
            Node::Namespace(koid) => list.extend(
                namespaces::FILES
                    .iter()
                    .map(|file| (file.name.into(), Node::NamespaceFile(koid, file))),
            ),
            _ => bail!(ENOTDIR),
        }
        Ok(list)
    }
}

impl INode for SysInode {
    fn metadata(&self) -> Metadata {
        let mode = match &self.node {
            Node::Net(node) => node.mode(),
            Node::Dir("fs/cgroup") => 0o555,
            node if node.is_dir() => 0o755,
            node if node.file_type() == FileType::Symlink => 0o777,
            _ => 0o444,
        };
        let mut attr = PseudoAttr::new(self.node.number(), self.node.file_type(), mode, self.time);
        attr.block_size = 4096;
        if let (Node::Net(_), Some(stack)) = (&self.node, self.net()) {
            (attr.uid, attr.gid) = NetNode::owner(&stack);
        }
        if attr.file_type == FileType::Symlink {
            attr.size = 0;
        } else if !self.node.is_dir() {
            attr.size = 4096;
        } else if let Ok(children) = self.children() {
            attr.nlink = 2 + children.iter().filter(|(_, node)| node.is_dir()).count() as u32;
        }
        attr.metadata()
    }
    fn file_type(&self) -> FileType {
        self.node.file_type()
    }
    fn common(&self) -> &InodeCommon {
        &self.common
    }
    fn as_any(&self) -> &dyn Any {
        self
    }
    fn is_empty_dir(&self) -> bool {
        matches!(self.node, Node::Dir("fs/cgroup"))
    }
    fn setattr(&self, attr: &SetAttr) -> Result<()> {
        ensure!(
            attr.mode.is_none() && attr.uid.is_none() && attr.gid.is_none(),
            EPERM,
            "sysfs: mode and owner are fixed"
        );
        Ok(())
    }
    fn lookup(&self, name: &[u8]) -> Result<Arc<dyn INode>> {
        let node = match self.node {
            Node::Dir(path) => self.lookup_in(path, name)?,
            Node::Cpu(_) | Node::Topology(_) | Node::Namespace(_) | Node::Net(_) => {
                let children = self.children()?;
                let found = children.into_iter().find(|(child, _)| child == name);
                found.ok_or(err!(ENOENT))?.1
            }
            _ => bail!(ENOTDIR),
        };
        Ok(self.child(node))
    }
    fn readlink(&self) -> Result<Vec<u8>> {
        match &self.node {
            Node::Net(node) => node.readlink(&*self.net().ok_or(err!(ENOENT))?),
            Node::HomeLink(_) => Ok(b"../../node/node0".into()),
            Node::CpuLink(cpu) => Ok(format!("../../cpu/cpu{cpu}").into_bytes()),
            _ => bail!(EINVAL, "not a symlink"),
        }
    }
    fn revalidate(&self) -> bool {
        if let Node::Net(node) = &self.node {
            return self.net().is_some_and(|stack| node.is_alive(&stack));
        }
        let (Node::Namespace(koid) | Node::NamespaceFile(koid, _)) = self.node else {
            return true;
        };
        self.kernel()
            .is_ok_and(|kernel| kernel.namespaces.find(koid).is_some())
    }
    fn readdir(&self, offset: u64, sink: &mut DirSink<'_>) -> Result<()> {
        let skip = offset.saturating_sub(2) as usize;
        for (next, (name, node)) in (3..).zip(self.children()?).skip(skip) {
            if !sink(&name, node.number(), node.file_type(), next) {
                break;
            }
        }
        Ok(())
    }
    fn open(&self, _task: &Arc<Task>, flags: OpenFlags) -> Result<Option<Arc<dyn FileOps>>> {
        if self.node.is_dir() {
            return Ok(None);
        }
        // Not even with every capability (`kernfs_fop_open`).
        let mode = self.metadata().mode;
        ensure!(
            (!flags.readable() || mode & 0o444 != 0) && (!flags.writable() || mode & 0o222 != 0),
            EACCES,
            "sysfs: the file has no such side"
        );
        Ok(Some(SeqFile::open(Box::new(SysText {
            node: self.node,
            fs: self.fs.clone(),
        }))))
    }
}

struct SysText {
    node: Node,
    fs: Weak<SysFs>,
}

impl SysText {
    fn net(&self) -> Result<Arc<NetStack>> {
        let net = self.fs.upgrade().and_then(|fs| fs.net.upgrade());
        net.ok_or(err!(ENODEV, "the network namespace is gone"))
    }
}

impl SeqSource for SysText {
    fn show(&self, cx: &SeqCx<'_>, out: &mut SeqBuf) -> Result<()> {
        let kernel = cx.task.kernel();
        match self.node {
            Node::Net(node) => node.show(&*self.net()?, out),
            Node::File(SysFile {
                content: Content::Text(show),
                ..
            }) => show(kernel, out),
            Node::File(SysFile {
                content: Content::Cpus,
                ..
            }) => {
                let fs = self.fs.upgrade().ok_or(err!(ENODEV))?;
                cpu::online(fs.cpus(kernel, Some(cx.task)), out)
            }
            Node::File(SysFile {
                content: Content::CpuMap,
                ..
            }) => {
                let fs = self.fs.upgrade().ok_or(err!(ENODEV))?;
                cpu::bitmap(fs.cpus(kernel, Some(cx.task)), kernel.hal.nr_cpus(), out)
            }
            Node::File(SysFile {
                content: Content::NodeMemory,
                ..
            }) => {
                let fs = self.fs.upgrade().ok_or(err!(ENODEV))?;
                let view = fs.cgview.then(|| View::of(cx.task)).flatten();
                node::meminfo(kernel, view.and_then(|view| view.memory()), out)
            }
            Node::TopologyFile(cpu, file) => {
                let fs = self.fs.upgrade().ok_or(err!(ENODEV))?;
                file.show(kernel, fs.cpus(kernel, Some(cx.task)), cpu, out)
            }
            Node::NamespaceFile(koid, file) => {
                let ns = kernel.namespaces.find(koid).ok_or(err!(ENODEV))?;
                (file.show)(kernel, &*ns, out)
            }
            _ => bail!(EIO),
        }
    }
    fn write(&self, cx: &SeqCx<'_>, _: u64, data: &[u8]) -> Result<usize> {
        match self.node {
            Node::Net(node) => node.store(&self.net()?, cx, data),
            _ => bail!(EIO, "the file takes no writes"),
        }
    }
}

/// `mount -t sysfs`.
#[derive(Default)]
pub struct SysFsType {
    /// The superblocks that there are.
    instances: Arc<Instances>,
}

impl FileSystemType for SysFsType {
    fn name(&self) -> &'static str {
        "sysfs"
    }
    fn userns_mount(&self) -> bool {
        true
    }
    fn init_context(&self, init: &ContextInit<'_>) -> Result<Box<dyn ContextOps>> {
        let net_ns = init.task.nsproxy().net_ns.clone();
        ensure!(
            init.cred.ns_capable(net_ns.user_ns(), Capability::SYS_ADMIN),
            EPERM,
            "sysfs: no CAP_SYS_ADMIN in the owner of the network namespace"
        );
        let fs = init
            .reconfigure
            .and_then(|sb| (&*sb.fs as &dyn Any).downcast_ref::<SysFs>());
        Ok(Box::new(SysFsContext {
            net_ns,
            instances: self.instances.clone(),
            cgview: fs.is_some_and(|fs| fs.cgview),
        }))
    }
}

/// The superblocks by network namespace and whether they are of `cgview`.
type Instances = SpinLock<Vec<((KoID, bool), Weak<SuperBlock>)>, class::Leaf>;

struct SysFsContext {
    net_ns: Arc<NetNamespace>,
    instances: Arc<Instances>,
    cgview: bool,
}

const PARAMS: &[Spec<()>] = &[Spec::new("cgview", Kind::Flag, ())];

impl ContextOps for SysFsContext {
    fn user_ns(&self) -> Option<Arc<UserNamespace>> {
        Some(self.net_ns.user_ns().clone())
    }
    fn parse_param(&mut self, cx: &mut ParamCx<'_>, param: &Param) -> Result<bool> {
        let known = parse(cx.log, PARAMS, param)?.is_some();
        self.cgview |= known;
        Ok(known)
    }
    fn get_tree(&mut self, request: &mut MountRequest<'_>) -> Result<Tree> {
        let key = (crate::kobject::KObject::koid(&*self.net_ns), self.cgview);
        let find = |list: &Vec<((KoID, bool), Weak<SuperBlock>)>| {
            list.iter()
                .find(|(of, _)| *of == key)
                .and_then(|(_, sb)| sb.upgrade())
        };
        let existing = find(&self.instances.lock());
        if let Some(sb) = existing {
            return Ok(Tree::whole(sb));
        }
        let kernel = request.kernel;
        let fs = Arc::new_cyclic(|this| SysFs {
            this: this.clone(),
            kernel: Arc::downgrade(kernel),
            net: Arc::downgrade(self.net_ns.stack()),
            cgview: self.cgview,
            time: super::current_time(kernel),
        });
        let flags = SbFlags::I_NODEV | SbFlags::I_NOEXEC | SbFlags::I_USERNS_VISIBLE;
        let flags = request.sb_flags | flags.bits();
        let new = SuperBlock::new(kernel, fs, request.user_ns.clone(), flags)?;
        let mut list = self.instances.lock();
        let existing = find(&list);
        if existing.is_none() {
            list.retain(|(_, sb)| sb.strong_count() > 0);
            list.push((key, Arc::downgrade(&new)));
        }
        drop(list);
        Ok(Tree::whole(existing.unwrap_or(new)))
    }
}
