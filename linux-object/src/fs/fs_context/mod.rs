//! File system contexts: a mount, or new options of one, while it is put together (`fsopen(2)`, Linux's
//! `Documentation/filesystems/mount_api.rst`).
//!
//! Model: an [`FsContext`] gathers options one by one for a file system type, then makes the superblock or
//! changes it. `mount(2)` uses one for the length of the call; `fsopen(2)` and `fspick(2)` give one to user
//! space as a file ([`FsContextFile`]), whose reads are the [`Log`].
//!
//! To give a file system options: a table of [`Spec`](param::Spec)s, a type with the values so far that
//! implements [`ContextOps`], and `FileSystemType::init_context` that makes it. `tmpfs/options.rs` is an example.
//!
//! Locks: `class::FsContext` is held over every step of a context that is a file; it ranks before everything.

mod file;
mod log;
pub mod param;

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::any::Any;

pub use self::file::FsContextFile;
pub use self::log::Log;
use self::param::{Param, Value};
use super::{Dentry, FileSystemType, SbFlags, SuperBlock};
use crate::cred::{Capability, Cred};
use crate::error::Result;
use crate::kernel::Kernel;
use crate::namespace::UserNamespace;
use crate::task::Task;
use crate::{bail, ensure};

/// For whom a context begins.
pub struct ContextInit<'a> {
    /// The caller.
    pub task: &'a Arc<Task>,
    /// Its credentials.
    pub cred: &'a Arc<Cred>,
    /// The superblock whose options change; `None`: a new mount.
    pub reconfigure: Option<&'a Arc<SuperBlock>>,
}

/// What options are looked at with.
pub struct ParamCx<'a> {
    /// The caller.
    pub task: &'a Arc<Task>,
    /// The user namespace that owns, or will own, the superblock.
    pub user_ns: &'a Arc<UserNamespace>,
    /// Where complaints go.
    pub log: &'a mut Log,
}

/// What a superblock is made with.
pub struct MountRequest<'a> {
    /// The kernel.
    pub kernel: &'a Arc<Kernel>,
    /// The caller.
    pub task: &'a Arc<Task>,
    /// Who began the context.
    pub cred: &'a Arc<Cred>,
    /// The user namespace that will own the superblock.
    pub user_ns: &'a Arc<UserNamespace>,
    /// What `mount(2)` calls the source.
    pub source: Option<&'a [u8]>,
    /// The list of a type whose options are looked at only now ([`ContextOps::keeps_text`]).
    pub text: &'a [u8],
    /// `SB_RDONLY` and the like: the `MS_*` bits that belong to the superblock.
    pub sb_flags: u32,
    /// Where complaints go.
    pub log: &'a mut Log,
}

/// What is mounted: a superblock from one of its dentries down.
pub struct Tree {
    /// The superblock.
    pub sb: Arc<SuperBlock>,
    /// Its root, or a directory of it.
    pub root: Arc<Dentry>,
}

impl Tree {
    /// All of a superblock.
    pub fn whole(sb: Arc<SuperBlock>) -> Tree {
        let root = sb.root.clone();
        Tree { sb, root }
    }
}

/// A file system type's part of a context: the options so far.
#[allow(unused_variables)]
pub trait ContextOps: Any + Send {
    /// The user namespace that will own the superblock, if it is not the caller's.
    fn user_ns(&self) -> Option<Arc<UserNamespace>> {
        None
    }
    /// Options are kept as text and looked at when the superblock is made (Linux's legacy contexts).
    fn keeps_text(&self) -> bool {
        false
    }
    /// Takes an option; false if there is no such.
    fn parse_param(&mut self, cx: &mut ParamCx<'_>, param: &Param) -> Result<bool> {
        Ok(false)
    }
    /// Whether an option of a list without a name (`=x`) is an error instead of nothing.
    fn strict_list(&self) -> bool {
        false
    }
    /// Makes, or finds, the superblock.
    fn get_tree(&mut self, request: &mut MountRequest<'_>) -> Result<Tree>;
    /// Gives a superblock the options; `text` is for [`ContextOps::keeps_text`]. It fails before it
    /// changes anything.
    fn reconfigure(&mut self, sb: &Arc<SuperBlock>, text: &[u8], log: &mut Log) -> Result<()> {
        Ok(())
    }
}

/// The context of what user space cannot mount (nsfs): no option is known.
struct NoOptions;

impl ContextOps for NoOptions {
    fn get_tree(&mut self, _request: &mut MountRequest<'_>) -> Result<Tree> {
        bail!(ENODEV, "the file system is the kernel's own")
    }
}

/// How far a context is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    /// Taking options for a new superblock.
    CreateParams,
    /// The superblock is there and may be mounted.
    AwaitingMount,
    /// Nothing is pending.
    AwaitingReconf,
    /// Taking options for the superblock that is there.
    ReconfParams,
    /// Something went wrong; nothing works any more.
    Failed,
}

/// `SB_*` that a change of options may touch (Linux's `MS_RMT_MASK`, without `I_VERSION`).
const RECONFIGURABLE: SbFlags = SbFlags::RDONLY
    .union(SbFlags::SYNCHRONOUS)
    .union(SbFlags::MANDLOCK)
    .union(SbFlags::LAZYTIME);

/// A mount while it is put together.
pub struct FsContext {
    fs_type: Option<Arc<dyn FileSystemType>>,
    name: &'static str,
    ops: Option<Box<dyn ContextOps>>,
    user_ns: Arc<UserNamespace>,
    cred: Arc<Cred>,
    source: Option<Vec<u8>>,
    /// Options kept as text.
    text: Vec<u8>,
    sb_flags: SbFlags,
    sb_mask: SbFlags,
    /// The superblock that changes.
    target: Option<Arc<SuperBlock>>,
    /// What was made.
    tree: Option<Tree>,
    phase: Phase,
    log: Log,
}

impl FsContext {
    fn begin(
        task: &Arc<Task>,
        fs_type: Option<Arc<dyn FileSystemType>>,
        name: &'static str,
        sb_flags: u32,
        target: Option<Arc<SuperBlock>>,
    ) -> Result<FsContext> {
        let cred = task.cred();
        let mut context = FsContext {
            fs_type,
            name,
            ops: None,
            user_ns: cred.user_ns.clone(),
            cred,
            source: None,
            text: Vec::new(),
            sb_flags: SbFlags::from_bits_truncate(sb_flags),
            sb_mask: SbFlags::empty(),
            phase: match &target {
                Some(_) => Phase::ReconfParams,
                None => Phase::CreateParams,
            },
            target,
            tree: None,
            log: Log::unread(name),
        };
        context.init(task)?;
        Ok(context)
    }

    fn init(&mut self, task: &Arc<Task>) -> Result<()> {
        let ops: Box<dyn ContextOps> = match &self.fs_type {
            Some(fs_type) => fs_type.init_context(&ContextInit {
                task,
                cred: &self.cred,
                reconfigure: self.target.as_ref(),
            })?,
            None => Box::new(NoOptions),
        };
        self.user_ns = match (&self.target, ops.user_ns()) {
            (Some(sb), _) => sb.user_ns.clone(),
            (None, Some(user_ns)) => user_ns,
            (None, None) => self.cred.user_ns.clone(),
        };
        self.ops = Some(ops);
        Ok(())
    }

    /// A context for a new mount.
    pub fn for_mount(task: &Arc<Task>, fs_type: Arc<dyn FileSystemType>, sb_flags: u32) -> Result<FsContext> {
        let name = fs_type.name();
        FsContext::begin(task, Some(fs_type), name, sb_flags, None)
    }

    /// A context for new options of a superblock. `sb_flags` replace those that may change; `None`: only those
    /// that an option names.
    pub fn for_reconfigure(
        task: &Arc<Task>,
        sb: &Arc<SuperBlock>,
        sb_flags: Option<u32>,
    ) -> Result<FsContext> {
        let name = sb.fs.name();
        let fs_type = task.kernel().fs_types.find(name.as_bytes());
        let mut context = FsContext::begin(task, fs_type, name, sb_flags.unwrap_or(0), Some(sb.clone()))?;
        if sb_flags.is_some() {
            context.sb_mask = RECONFIGURABLE;
        }
        Ok(context)
    }

    /// Messages are kept from here on.
    pub fn keep_log(&mut self) {
        self.log = Log::kept(self.name);
    }
    /// The oldest message, if it has at most `max` bytes (`EMSGSIZE`).
    fn pop_message(&mut self, max: usize) -> Result<alloc::string::String> {
        match self.log.oldest() {
            None => bail!(ENODATA, "no message"),
            Some(message) => ensure!(message.len() <= max, EMSGSIZE, "the message is longer"),
        }
        Ok(self.log.pop().unwrap_or_default())
    }
    fn ops(&mut self) -> Result<&mut Box<dyn ContextOps>> {
        match &mut self.ops {
            Some(ops) => Ok(ops),
            None => bail!(EINVAL, "the context was cleaned"),
        }
    }
    fn keeps_text(&self) -> bool {
        self.ops.as_ref().is_some_and(|ops| ops.keeps_text())
    }

    /// Takes one option (Linux's `vfs_parse_fs_param`).
    pub fn parse_param(&mut self, task: &Arc<Task>, param: &Param) -> Result<()> {
        if param.key.is_empty() {
            self.log.plain('e', format_args!("Unnamed parameter"));
        }
        if self.parse_sb_flag(&param.key) {
            return Ok(());
        }
        if self.keeps_text() {
            return self.keep_text(param);
        }
        let Some(ops) = &mut self.ops else {
            bail!(EINVAL, "the context was cleaned")
        };
        let mut cx = ParamCx {
            task,
            user_ns: &self.user_ns,
            log: &mut self.log,
        };
        if ops.parse_param(&mut cx, param)? || param::source(&mut self.log, param, &mut self.source)? {
            return Ok(());
        }
        let (name, key) = (self.name, param.name());
        self.log
            .plain('e', format_args!("{name}: Unknown parameter '{key}'"));
        bail!(EINVAL, "the file system has no such option")
    }

    fn parse_sb_flag(&mut self, key: &[u8]) -> bool {
        let (flag, set) = match key {
            b"ro" => (SbFlags::RDONLY, true),
            b"rw" => (SbFlags::RDONLY, false),
            b"sync" => (SbFlags::SYNCHRONOUS, true),
            b"async" => (SbFlags::SYNCHRONOUS, false),
            b"dirsync" => (SbFlags::DIRSYNC, true),
            b"mand" => (SbFlags::MANDLOCK, true),
            b"nomand" => (SbFlags::MANDLOCK, false),
            b"lazytime" => (SbFlags::LAZYTIME, true),
            b"nolazytime" => (SbFlags::LAZYTIME, false),
            _ => return false,
        };
        self.sb_flags.set(flag, set);
        self.sb_mask |= flag;
        true
    }

    /// An option of a type that looks at them later (Linux's `legacy_parse_param`).
    fn keep_text(&mut self, param: &Param) -> Result<()> {
        if param::source(&mut self.log, param, &mut self.source)? {
            return Ok(());
        }
        let value = match &param.value {
            Value::Flag => None,
            Value::String(text) => Some(text),
            _ => bail!(EINVAL, "the type of an option is not supported"),
        };
        let len = param.key.len() + value.map_or(0, |value| value.len() + 1);
        ensure!(
            self.text.len() + len + 2 <= crate::ids::PAGE_SIZE,
            EINVAL,
            "more than a page of options"
        );
        ensure!(
            !param.key.contains(&b',') && !value.is_some_and(|value| value.contains(&b',')),
            EINVAL,
            "an option with a comma"
        );
        if !self.text.is_empty() {
            self.text.push(b',');
        }
        self.text.extend_from_slice(&param.key);
        if let Some(value) = value {
            self.text.push(b'=');
            self.text.extend_from_slice(value);
        }
        Ok(())
    }

    /// Takes the source of `mount(2)`.
    pub fn set_source(&mut self, task: &Arc<Task>, source: &[u8]) -> Result<()> {
        self.parse_param(task, &Param::text(b"source", Some(source)))
    }

    /// Takes the options of `mount(2)`.
    pub fn parse_monolithic(&mut self, task: &Arc<Task>, data: &[u8]) -> Result<()> {
        if self.keeps_text() {
            self.text = data.to_vec();
            return Ok(());
        }
        if self.ops()?.strict_list() {
            for option in data.split(|&b| b == b',').filter(|option| !option.is_empty()) {
                let mut halves = option.splitn(2, |&byte| byte == b'=');
                let key = halves.next().unwrap_or_default();
                self.parse_param(task, &Param::text(key, halves.next()))?;
            }
            return Ok(());
        }
        for param in param::split_list(data) {
            self.parse_param(task, &param)?;
        }
        Ok(())
    }

    /// Whether the caller may mount this (Linux's `mount_capable`).
    pub fn check_capable(&self, task: &Arc<Task>) -> Result<()> {
        let cred = task.cred();
        let everyone = self
            .fs_type
            .as_ref()
            .is_some_and(|fs_type| fs_type.userns_mount());
        let allowed = if everyone {
            cred.ns_capable(&self.user_ns, Capability::SYS_ADMIN)
        } else {
            cred.capable(Capability::SYS_ADMIN)
        };
        ensure!(allowed, EPERM, "the caller may not mount this type");
        Ok(())
    }

    /// Makes the superblock.
    pub fn get_tree(&mut self, task: &Arc<Task>) -> Result<Tree> {
        let Some(ops) = &mut self.ops else {
            bail!(EINVAL, "the context was cleaned")
        };
        let needs_source = self
            .fs_type
            .as_ref()
            .is_some_and(|fs_type| fs_type.requires_dev());
        if needs_source && self.source.is_none() {
            self.log
                .plain('e', format_args!("Source required, but not specified"));
            bail!(EINVAL, "no source");
        }
        ops.get_tree(&mut MountRequest {
            kernel: task.kernel(),
            task,
            cred: &self.cred,
            user_ns: &self.user_ns,
            source: self.source.as_deref(),
            text: &self.text,
            sb_flags: self.sb_flags.bits(),
            log: &mut self.log,
        })
    }

    /// The source, for `mountinfo`.
    pub fn source(&self) -> &[u8] {
        self.source.as_deref().unwrap_or(b"none")
    }

    /// Gives the superblock its new options (Linux's `reconfigure_super`). Whether the caller may is asked by
    /// the caller.
    pub fn reconfigure(&mut self) -> Result<()> {
        let (Some(sb), Some(ops)) = (self.target.clone(), &mut self.ops) else {
            bail!(EINVAL, "no superblock to change")
        };
        ensure!(
            RECONFIGURABLE.contains(self.sb_mask),
            EINVAL,
            "a flag that does not change"
        );
        let old = sb.flags();
        let new = old & !self.sb_mask | self.sb_flags & self.sb_mask;
        // First what may fail by itself; it is taken back if the options are refused.
        sb.change_flags(RECONFIGURABLE, new)?;
        if let Err(error) = ops.reconfigure(&sb, &self.text, &mut self.log) {
            sb.set_flags(RECONFIGURABLE, old);
            return Err(error);
        }
        Ok(())
    }

    /// Forgets the options (Linux's `vfs_clean_context`).
    fn clean(&mut self) {
        self.ops = None;
        self.source = None;
        self.text.clear();
        // Which flags were named is not forgotten, as in Linux: they are set anew each time.
        self.sb_flags = SbFlags::empty();
        self.phase = Phase::AwaitingReconf;
    }

    /// Options may come again (Linux's `finish_clean_context`).
    fn finish_clean(&mut self, task: &Arc<Task>) -> Result<()> {
        if self.phase != Phase::AwaitingReconf {
            return Ok(());
        }
        if let Some(tree) = &self.tree {
            self.target = Some(tree.sb.clone());
        }
        if let Err(error) = self.init(task) {
            self.phase = Phase::Failed;
            return Err(error);
        }
        self.phase = Phase::ReconfParams;
        Ok(())
    }
}
