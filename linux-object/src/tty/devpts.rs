//! devpts: the slaves of pseudo-terminals as files (`pts(4)`, `Documentation/filesystems/devpts`).
//!
//! Each mount is an instance of its own. Opening its `ptmx` makes a pseudo-terminal, whose slave
//! appears under its number until the master is closed.
//!
//! Locks: the table of slaves is `class::Leaf`; attributes are `class::Inode`.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::string::{String, ToString};
use alloc::sync::{Arc, Weak};
use core::any::Any;
use core::fmt::Write;

use super::pty::PtyMaster;
use super::{Tty, TtyFile};
use crate::error::Result;
use crate::fs::fs_context::param::{Kind as Takes, Spec, parse_list};
use crate::fs::fs_context::{ContextInit, ContextOps, Log, MountRequest, Tree};
use crate::fs::namei::{LookupFlags, path_lookup};
use crate::fs::{
    DevT, DirSink, FileOps, FileSystem, FileSystemType, FileTime, FileType, FsInfo, INode, InodeCommon,
    InodeFlags, Metadata, OpenFile, OpenFlags, Path, SbFlags, SetAttr, SuperBlock, current_time,
};
use crate::ids::{Gid, Kgid, Kuid, Uid};
use crate::kernel::Kernel;
use crate::namespace::UserNamespace;
use crate::sync::{SpinLock, class};
use crate::task::Task;
use crate::{bail, ensure, err};

const DEVPTS_SUPER_MAGIC: u64 = 0x1cd1;
/// Pseudo-terminals of one instance at most (`max` can only lower it).
const NR_UNIX98_PTY_MAX: u32 = 1 << 20;
const ROOT_INO: u64 = 1;
const PTMX_INO: u64 = 2;
/// Inode numbers of slaves begin here.
const FIRST_INO: u64 = 3;

/// Mount options.
#[derive(Clone, Copy)]
struct Options {
    uid: Option<Kuid>,
    gid: Option<Kgid>,
    mode: u32,
    ptmxmode: u32,
    max: u32,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            uid: None,
            gid: None,
            mode: 0o600,
            ptmxmode: 0,
            max: NR_UNIX98_PTY_MAX,
        }
    }
}

#[derive(Clone, Copy)]
enum Key {
    NewInstance,
    Uid,
    Gid,
    Mode,
    PtmxMode,
    Max,
}

const TABLE: &[Spec<Key>] = &[
    Spec::new("newinstance", Takes::Flag, Key::NewInstance),
    Spec::new("uid", Takes::U32, Key::Uid),
    Spec::new("gid", Takes::U32, Key::Gid),
    Spec::new("mode", Takes::U32Oct, Key::Mode),
    Spec::new("ptmxmode", Takes::U32Oct, Key::PtmxMode),
    Spec::new("max", Takes::U32, Key::Max),
];

impl Options {
    /// What is not given has its default, also at a remount. Ids are those of `user_ns`.
    fn parse(user_ns: &UserNamespace, raw: &[u8], log: &mut Log) -> Result<Options> {
        let mut options = Options::default();
        parse_list(log, TABLE, raw, |key, value| {
            let value = value.number();
            match key {
                // Each mount is an instance of its own anyway.
                Key::NewInstance => {}
                Key::Uid => options.uid = Some(user_ns.make_kuid(Uid(value)).ok_or(err!(EINVAL))?),
                Key::Gid => options.gid = Some(user_ns.make_kgid(Gid(value)).ok_or(err!(EINVAL))?),
                Key::Mode => options.mode = value & 0o7777,
                Key::PtmxMode => options.ptmxmode = value & 0o7777,
                Key::Max => {
                    ensure!(value <= NR_UNIX98_PTY_MAX, EINVAL, "max is too large");
                    options.max = value;
                }
            }
            Ok(())
        })?;
        Ok(options)
    }
}

/// The file system type.
pub(super) struct DevPtsType;

impl FileSystemType for DevPtsType {
    fn name(&self) -> &'static str {
        "devpts"
    }
    fn userns_mount(&self) -> bool {
        true
    }
    fn init_context(&self, _init: &ContextInit<'_>) -> Result<Box<dyn ContextOps>> {
        Ok(Box::new(DevPtsContext))
    }
}

struct DevPtsContext;

impl ContextOps for DevPtsContext {
    fn keeps_text(&self) -> bool {
        true
    }
    fn get_tree(&mut self, request: &mut MountRequest<'_>) -> Result<Tree> {
        let options = Options::parse(&request.task.user_ns(), request.text, request.log)?;
        // The root and the ptmx belong to the root of the owning namespace.
        let user_ns = request.user_ns;
        let uid = user_ns.make_kuid(Uid(0)).unwrap_or(Kuid::ROOT);
        let gid = user_ns.make_kgid(Gid(0)).unwrap_or(Kgid::ROOT);
        let initial = request.kernel.vfs.init_mnt_ns.get();
        let reserve = initial.is_some_and(|ns| Arc::ptr_eq(ns, &request.task.nsproxy().mnt_ns));
        let fs = DevPts::new(request.kernel, user_ns.clone(), options, reserve, (uid, gid));
        let sb = SuperBlock::new(request.kernel, fs, user_ns.clone(), request.sb_flags)?;
        // Its devices are safe whoever mounts it.
        sb.set_flags(SbFlags::I_NODEV, SbFlags::empty());
        Ok(Tree::whole(sb))
    }
    fn reconfigure(&mut self, sb: &Arc<SuperBlock>, text: &[u8], log: &mut Log) -> Result<()> {
        if let Some(fs) = (&*sb.fs as &dyn Any).downcast_ref::<DevPts>() {
            let new = Options::parse(&fs.user_ns, text, log)?;
            *fs.options.lock() = new;
            fs.ptmx.attributes.lock().mode = new.ptmxmode;
        }
        Ok(())
    }
}

/// An instance.
pub struct DevPts {
    options: SpinLock<Options, class::Leaf>,
    /// Mounted in the initial mount namespace: may use `kernel.pty.reserve`.
    reserve: bool,
    user_ns: Arc<UserNamespace>,
    slaves: SpinLock<BTreeMap<u32, Arc<PtsInode>>, class::Devpts>,
    root: Arc<PtsInode>,
    ptmx: Arc<PtsInode>,
    this: Weak<DevPts>,
}

impl DevPts {
    fn new(
        kernel: &Arc<Kernel>,
        user_ns: Arc<UserNamespace>,
        options: Options,
        reserve: bool,
        (uid, gid): (Kuid, Kgid),
    ) -> Arc<DevPts> {
        let now = current_time(kernel);
        Arc::new_cyclic(|this: &Weak<DevPts>| {
            let inode = |kind, ino, mode| PtsInode::new(this, kind, ino, mode, uid, gid, now);
            DevPts {
                root: inode(Kind::Root, ROOT_INO, 0o755),
                ptmx: inode(Kind::Ptmx, PTMX_INO, options.ptmxmode),
                options: SpinLock::new(options),
                reserve,
                user_ns,
                slaves: SpinLock::new(BTreeMap::new()),
                this: this.clone(),
            }
        })
    }

    /// Makes a pseudo-terminal (`posix_openpt(3)`). `ENOSPC`: too many.
    pub fn open_master(&self, task: &Arc<Task>) -> Result<Arc<PtyMaster>> {
        let this = self.this.upgrade().ok_or(err!(ENODEV))?;
        let kernel = task.kernel();
        let cred = task.cred();
        let options = *self.options.lock();
        let uid = options.uid.unwrap_or(cred.fsuid);
        let gid = options.gid.unwrap_or(cred.fsgid);
        let settings = &kernel.sysctl;
        let reserved = if self.reserve {
            0
        } else {
            settings.pty_reserve.get()
        };
        let count = kernel.ttys.ptys.take(settings.pty_max.get() - reserved);
        let count = count.ok_or(err!(ENOSPC, "kernel.pty.max is reached"))?;
        let mut slaves = self.slaves.lock();
        let index = (0..options.max).find(|index| !slaves.contains_key(index));
        let index = index.ok_or(err!(ENOSPC, "all pseudo-terminals are taken"))?;
        let master = PtyMaster::new(index, &this, count);
        let kind = Kind::Slave(Arc::downgrade(master.tty()), index);
        let ino = FIRST_INO + index as u64;
        let inode = PtsInode::new(
            &self.this,
            kind,
            ino,
            options.mode,
            uid,
            gid,
            current_time(kernel),
        );
        slaves.insert(index, inode);
        Ok(master)
    }

    /// The master was closed.
    pub(super) fn remove(&self, index: u32) {
        let removed = self.slaves.lock().remove(&index);
        if let Some(inode) = removed {
            crate::fs::notify::inode_removed(&*inode);
        }
    }

    /// The path of a slave: through the mount where the master was opened, or below `/dev/pts`.
    pub(super) fn slave_path(&self, task: &Arc<Task>, master: &OpenFile, index: u32) -> Result<Path> {
        let name = index.to_string();
        let own = |path: &Path| {
            let fs = Arc::as_ptr(&path.mount.sb.fs).cast::<()>();
            core::ptr::eq(fs, core::ptr::from_ref(self).cast())
        };
        if own(&master.path) {
            let root = Path::root_of(&master.path.mount);
            return path_lookup(task, Some(&root), name.as_bytes(), LookupFlags::empty());
        }
        let base = path_lookup(task, None, b"/dev/pts", LookupFlags::FOLLOW)?;
        ensure!(
            own(&base),
            ENOENT,
            "the terminal's file system is not on /dev/pts"
        );
        path_lookup(task, Some(&base), name.as_bytes(), LookupFlags::empty())
    }
}

/// Opens `/dev/ptmx` outside of an instance: that of the devpts on `/dev/pts` is meant.
pub(super) fn open_ptmx(task: &Arc<Task>) -> Result<Arc<dyn FileOps>> {
    let Ok(path) = path_lookup(task, None, b"/dev/pts", LookupFlags::FOLLOW) else {
        bail!(ENODEV, "there is no /dev/pts");
    };
    let inode = path.inode()?;
    match inode.as_any().downcast_ref::<PtsInode>() {
        Some(PtsInode {
            fs, kind: Kind::Root, ..
        }) => {
            let fs = fs.upgrade().ok_or(err!(ENODEV))?;
            Ok(fs.open_master(task)?)
        }
        _ => bail!(ENODEV, "/dev/pts is no devpts"),
    }
}

impl FileSystem for DevPts {
    fn name(&self) -> &'static str {
        "devpts"
    }
    fn root_inode(&self) -> Arc<dyn INode> {
        self.root.clone()
    }
    fn info(&self) -> FsInfo {
        FsInfo {
            magic: DEVPTS_SUPER_MAGIC,
            block_size: 4096,
            name_max: 255,
            ..FsInfo::default()
        }
    }
    fn show_options(&self, out: &mut String) {
        let options = *self.options.lock();
        if let Some(uid) = options.uid {
            let _ = write!(out, ",uid={}", self.user_ns.from_kuid_munged(uid));
        }
        if let Some(gid) = options.gid {
            let _ = write!(out, ",gid={}", self.user_ns.from_kgid_munged(gid));
        }
        let _ = write!(
            out,
            ",mode={:03o},ptmxmode={:03o}",
            options.mode, options.ptmxmode
        );
        if options.max < NR_UNIX98_PTY_MAX {
            let _ = write!(out, ",max={}", options.max);
        }
    }
    fn cacheable(&self) -> bool {
        false
    }
}

enum Kind {
    Root,
    Ptmx,
    Slave(Weak<Tty>, u32),
}

struct Attributes {
    mode: u32,
    uid: Kuid,
    gid: Kgid,
    atime: FileTime,
    mtime: FileTime,
    ctime: FileTime,
}

/// The root, the ptmx, or a slave.
struct PtsInode {
    common: InodeCommon,
    fs: Weak<DevPts>,
    kind: Kind,
    ino: u64,
    attributes: SpinLock<Attributes, class::Inode>,
}

impl PtsInode {
    fn new(
        fs: &Weak<DevPts>,
        kind: Kind,
        ino: u64,
        mode: u32,
        uid: Kuid,
        gid: Kgid,
        now: FileTime,
    ) -> Arc<PtsInode> {
        Arc::new(PtsInode {
            common: InodeCommon::new(InodeFlags::empty()),
            fs: fs.clone(),
            kind,
            ino,
            attributes: SpinLock::new(Attributes {
                mode,
                uid,
                gid,
                atime: now,
                mtime: now,
                ctime: now,
            }),
        })
    }
}

impl INode for PtsInode {
    fn metadata(&self) -> Metadata {
        let attributes = self.attributes.lock();
        Metadata {
            inode: self.ino,
            file_type: self.file_type(),
            mode: attributes.mode,
            nlink: if matches!(self.kind, Kind::Root) { 2 } else { 1 },
            uid: attributes.uid,
            gid: attributes.gid,
            rdev: match self.kind {
                Kind::Root => DevT::default(),
                Kind::Ptmx => DevT::new(5, 2),
                Kind::Slave(_, index) => DevT::new(136, index),
            },
            size: 0,
            block_size: 1024,
            blocks: 0,
            atime: attributes.atime,
            mtime: attributes.mtime,
            ctime: attributes.ctime,
            btime: FileTime::default(),
        }
    }
    fn file_type(&self) -> FileType {
        match self.kind {
            Kind::Root => FileType::Directory,
            _ => FileType::CharDevice,
        }
    }
    fn common(&self) -> &InodeCommon {
        &self.common
    }
    fn setattr(&self, attr: &SetAttr) -> Result<()> {
        let mut attributes = self.attributes.lock();
        attributes.mode = attr.mode.unwrap_or(attributes.mode);
        attributes.uid = attr.uid.unwrap_or(attributes.uid);
        attributes.gid = attr.gid.unwrap_or(attributes.gid);
        attributes.atime = attr.atime.unwrap_or(attributes.atime);
        attributes.mtime = attr.mtime.unwrap_or(attributes.mtime);
        Ok(())
    }
    fn as_any(&self) -> &dyn Any {
        self
    }
    fn lookup(&self, name: &[u8]) -> Result<Arc<dyn INode>> {
        let fs = self.fs.upgrade().ok_or(err!(ENOENT))?;
        ensure!(matches!(self.kind, Kind::Root), ENOTDIR);
        if name == b"ptmx" {
            return Ok(fs.ptmx.clone());
        }
        let canonical = name == b"0" || !name.starts_with(b"0");
        let number = core::str::from_utf8(name).ok().and_then(|name| name.parse().ok());
        let index: u32 = number.filter(|_| canonical).ok_or(err!(ENOENT))?;
        let slave = fs.slaves.lock().get(&index).cloned();
        Ok(slave.ok_or(err!(ENOENT, "no such terminal"))?)
    }
    fn revalidate(&self) -> bool {
        match &self.kind {
            Kind::Slave(tty, _) => tty.upgrade().is_some_and(|tty| tty.state.lock().pty.master_open),
            _ => true,
        }
    }
    fn readdir(&self, offset: u64, sink: &mut DirSink<'_>) -> Result<()> {
        ensure!(matches!(self.kind, Kind::Root), ENOTDIR);
        let fs = self.fs.upgrade().ok_or(err!(ENOENT))?;
        // Offset 2 is ptmx, 3 + n is slave n.
        if offset <= 2 && !sink(b"ptmx", PTMX_INO, FileType::CharDevice, 3) {
            return Ok(());
        }
        let mut from = offset.saturating_sub(3) as u32;
        loop {
            let next = fs.slaves.lock().range(from..).next().map(|(&index, _)| index);
            let Some(index) = next else { return Ok(()) };
            let name = index.to_string();
            let ino = FIRST_INO + index as u64;
            if !sink(name.as_bytes(), ino, FileType::CharDevice, index as u64 + 4) {
                return Ok(());
            }
            from = index + 1;
        }
    }
    fn open(&self, task: &Arc<Task>, flags: OpenFlags) -> Result<Option<Arc<dyn FileOps>>> {
        match &self.kind {
            Kind::Root => Ok(None),
            Kind::Ptmx => {
                let fs = self.fs.upgrade().ok_or(err!(ENODEV))?;
                Ok(Some(fs.open_master(task)?))
            }
            Kind::Slave(tty, _) => {
                let tty = tty.upgrade().ok_or(err!(EIO, "the master is closed"))?;
                Ok(Some(TtyFile::open(&tty, task, flags, false)?))
            }
        }
    }
}
