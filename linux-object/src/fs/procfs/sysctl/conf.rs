//! `/proc/sys/net/ipv{4,6}/conf`: a directory for each device of the reader's network namespace, for `all` and for
//! `default`.

use alloc::sync::Arc;
use alloc::vec::Vec;

use super::{check_range, number};
use crate::cred::Capability;
use crate::error::Result;
use crate::fs::FileType;
use crate::fs::procfs::ProcCx;
use crate::fs::pseudo::inode_number;
use crate::fs::seq_file::SeqBuf;
use crate::net::stack::conf::{CONF, ConfFile, ConfKey, ConfOf};
use crate::net::stack::{NetStack, NetState};
use crate::task::Task;
use crate::{ensure, err};

/// The directories.
pub const DIRS: [(&str, bool); 2] = [("sys/net/ipv4/conf", false), ("sys/net/ipv6/conf", true)];

/// What stands below them.
#[derive(Clone, Copy)]
pub enum ConfNode {
    /// Settings of one.
    Dir(bool, ConfOf),
    /// One of them.
    File(&'static ConfFile, ConfOf),
}

fn names(state: &NetState) -> Vec<(Vec<u8>, ConfOf)> {
    let fixed = [
        (b"all".to_vec(), ConfOf::All),
        (b"default".to_vec(), ConfOf::Default),
    ];
    let devices = state.devices.values();
    let devices = devices.map(|dev| (dev.name.clone().into_bytes(), ConfOf::Device(dev.ifindex)));
    fixed.into_iter().chain(devices).collect()
}

fn stack(task: &Task) -> Option<Arc<NetStack>> {
    Some(task.try_nsproxy()?.net_ns.stack().clone())
}

/// The content of one of [`DIRS`] for this reader; `None` for another directory.
pub fn dir(path: &str, task: Option<&Arc<Task>>) -> Option<Vec<(Vec<u8>, ConfNode)>> {
    let &(_, v6) = DIRS.iter().find(|(dir, _)| *dir == path)?;
    let stack = task.and_then(|task| stack(task));
    let names = stack.map(|stack| names(&stack.lock())).unwrap_or_default();
    Some(
        names
            .into_iter()
            .map(|(name, of)| (name, ConfNode::Dir(v6, of)))
            .collect(),
    )
}

impl ConfNode {
    /// Its type.
    pub fn file_type(&self) -> FileType {
        match self {
            ConfNode::Dir(..) => FileType::Directory,
            ConfNode::File(..) => FileType::Regular,
        }
    }
    /// Its permissions.
    pub fn mode(&self) -> u32 {
        match self {
            ConfNode::Dir(..) => 0o555,
            ConfNode::File(..) => 0o644,
        }
    }
    /// Its inode number.
    pub fn number(&self) -> u64 {
        let (v6, of, name) = match self {
            ConfNode::Dir(v6, of) => (*v6, of, ""),
            ConfNode::File(file, of) => (file.v6, of, file.name),
        };
        inode_number(0, alloc::format!("net/conf/{v6}/{of:?}/{name}").as_bytes())
    }
    /// Its content, if it is a directory.
    pub fn children(&self) -> Vec<(Vec<u8>, ConfNode)> {
        let ConfNode::Dir(v6, of) = *self else {
            return Vec::new();
        };
        let files = CONF.iter().filter(|file| file.v6 == v6);
        files
            .map(|file| (file.name.into(), ConfNode::File(file, of)))
            .collect()
    }
    /// Root of the owner of the namespace may do what the file's mode lets root do.
    pub fn permission(&self, task: &Task, mask: u32) -> Result<()> {
        let admin =
            stack(task).is_some_and(|stack| task.cred().ns_capable(&stack.user_ns, Capability::NET_ADMIN));
        let bits = if admin { self.mode() >> 6 } else { self.mode() };
        ensure!(mask & 7 & !bits == 0, EACCES, "sysctl: no CAP_NET_ADMIN");
        Ok(())
    }
    /// Writes the line.
    pub fn show(&self, cx: &ProcCx<'_>, out: &mut SeqBuf) -> Result<()> {
        let ConfNode::File(file, of) = *self else {
            return Err(err!(EISDIR));
        };
        let stack = stack(cx.reader).ok_or(err!(ESRCH))?;
        let state = stack.lock();
        let conf = state.conf(of).ok_or(err!(ENOENT, "the device is gone"))?;
        writeln!(out, "{}", conf.get(file.key))
    }
    /// Takes a write.
    pub fn write(&self, cx: &ProcCx<'_>, offset: u64, data: &[u8]) -> Result<usize> {
        let ConfNode::File(file, of) = *self else {
            return Err(err!(EISDIR));
        };
        if offset != 0 {
            return Ok(data.len());
        }
        let [value] = number::parse::<1>(data)?[..] else {
            return Ok(data.len());
        };
        let (min, max) = file.range;
        check_range(value, min.into(), max.into())?;
        set(&stack(cx.reader).ok_or(err!(ESRCH))?, of, file.key, value as i32)?;
        Ok(data.len())
    }
}

/// Sets a value with everything that follows.
pub fn set(stack: &Arc<NetStack>, of: ConfOf, key: ConfKey, value: i32) -> Result<()> {
    let _rtnl = stack.shared.rtnl();
    let there = stack.with(|net| net.set_conf(of, key, value));
    ensure!(there, ENOENT, "the device is gone");
    Ok(())
}
