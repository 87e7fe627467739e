//! `/proc/sys`: settings with a type, a range and a rule who may change them (`sysctl(8)`,
//! `kernel/sysctl.c`).
//!
//! A line of [`SYSCTLS`] is a path, a mode and a [`Value`]. Reading gives one line; writing parses
//! as Linux does: numbers in C notation, blanks around them, out of range is `EINVAL` and changes
//! nothing.

pub(super) mod conf;
pub(super) mod ipc;
mod number;
mod table;

use alloc::sync::Arc;

use ipc::IpcValue;
pub(super) use table::SYSCTLS;

use super::ProcCx;
use super::inode::Event;
use crate::cred::{Capability, Cred, UCount};
use crate::error::Result;
use crate::fs::seq_file::SeqBuf;
use crate::ids::{Gid, Kgid, Kuid, Uid};
use crate::namespace::UserNamespace;
use crate::net::stack::{NetCore, NetSysctls};
use crate::sysctl::{Setting, Sysctls};
use crate::task::Task;
use crate::{bail, ensure};

/// A line of the table.
pub(super) struct Sysctl {
    /// Path below the root of procfs.
    pub path: &'static str,
    /// Permission bits.
    pub mode: u32,
    /// Type and access.
    pub value: Value,
}

/// What a setting is.
pub(super) enum Value {
    /// A number of the whole kernel in a range.
    Cell {
        cell: fn(&Sysctls) -> &Setting,
        min: i64,
        max: i64,
    },
    /// A number that functions read and write.
    Number {
        get: fn(&ProcCx<'_>) -> i64,
        set: fn(&ProcCx<'_>, i64) -> Result<()>,
        min: i64,
        max: i64,
    },
    /// Several numbers on one line; `set` is given as many as were written, in the range of `int`.
    Numbers {
        get: fn(&ProcCx<'_>, &mut [i64; MAX_NUMBERS]) -> usize,
        set: fn(&ProcCx<'_>, &[i64]) -> Result<()>,
    },
    /// A number of the reader's network namespace in a range.
    Net {
        cell: fn(&NetSysctls) -> &Setting,
        min: i64,
        max: i64,
    },
    /// A number of all network namespaces, which only the initial one shows.
    NetCore {
        cell: fn(&NetCore) -> &Setting,
        min: i64,
    },
    /// A limit of the reader's user namespace.
    UserLimit(UCount),
    /// A setting of the opener's IPC namespace.
    Ipc(IpcValue),
    /// A text without its newline. `max` bytes with the zero byte that ends it in the kernel.
    Text {
        get: fn(&ProcCx<'_>, &mut SeqBuf) -> Result<()>,
        set: fn(&ProcCx<'_>, &[u8]) -> Result<()>,
        max: usize,
        event: Option<fn(&Arc<Task>) -> Option<Arc<dyn Event>>>,
    },
}

/// The longest vector.
pub(super) const MAX_NUMBERS: usize = 4;

impl Sysctl {
    /// Linux's `sysctl_perm`: by the mode for root, root's group and others, without an override
    /// by capabilities. Settings of a user namespace ask for `CAP_SYS_RESOURCE` in it instead; those of an
    /// IPC or network namespace belong to the root of its owner, and `CAP_NET_ADMIN` there does as well.
    pub fn permission(&self, task: &Task, cred: &Cred, mask: u32) -> Result<()> {
        let bits = if let Value::Ipc(value) = &self.value {
            let nsproxy = task.try_nsproxy().ok_or(crate::err!(EACCES, "the task exits"))?;
            value.granted(&nsproxy.ipc_ns, cred, self.mode)
        } else if self.is_net() {
            let nsproxy = task.try_nsproxy().ok_or(crate::err!(EACCES, "the task exits"))?;
            net_granted(nsproxy.net_ns.user_ns(), cred, self.mode)
        } else if self.path.starts_with("sys/user/") {
            if cred.ns_capable(&cred.user_ns, Capability::SYS_RESOURCE) {
                self.mode >> 6
            } else {
                self.mode
            }
        } else if cred.euid == Kuid::ROOT {
            self.mode >> 6
        } else if cred.egid == Kgid::ROOT || cred.groups.contains(&Kgid::ROOT) {
            self.mode >> 3
        } else {
            self.mode
        };
        ensure!(mask & 7 & !bits == 0, EACCES, "sysctl: only root may");
        Ok(())
    }

    /// Whether it is a setting of a network namespace.
    pub fn is_net(&self) -> bool {
        self.path.starts_with("sys/net/")
    }

    /// Whether it is there for this reader: what is of all network namespaces only the initial one
    /// has, and of `net.core` one that an ordinary user made has nothing.
    pub fn is_visible(&self, reader: Option<&Arc<Task>>) -> bool {
        let of_all = matches!(self.value, Value::NetCore { .. });
        let in_core = self.path.starts_with("sys/net/core/") && !self.path.ends_with('/');
        if !of_all && !in_core {
            return true;
        }
        let Some(nsproxy) = reader.and_then(|task| task.try_nsproxy()) else {
            return false;
        };
        let net_ns = &nsproxy.net_ns;
        if of_all {
            net_ns.stack().is_initial()
        } else {
            net_ns.user_ns().parent().is_none()
        }
    }

    /// What tells of changes.
    pub fn event(&self, task: &Arc<Task>) -> Option<Arc<dyn Event>> {
        match &self.value {
            Value::Text {
                event: Some(event), ..
            } => event(task),
            _ => None,
        }
    }

    /// Writes the line.
    pub fn show(&self, cx: &ProcCx<'_>, out: &mut SeqBuf) -> Result<()> {
        match &self.value {
            Value::Cell { cell, .. } => writeln!(out, "{}", cell(&cx.kernel.sysctl).get()),
            Value::Net { cell, .. } => {
                writeln!(out, "{}", cell(&cx.reader.nsproxy().net_ns.stack().sysctl).get())
            }
            Value::NetCore { cell, .. } => writeln!(out, "{}", cell(&cx.kernel.net.core).get()),
            Value::Number { get, .. } => writeln!(out, "{}", get(cx)),
            Value::Ipc(value) => value.show(cx.ipc_ns()?, out),
            Value::UserLimit(kind) => writeln!(out, "{}", cx.reader.user_ns().ucount_limits().max(*kind)),
            Value::Numbers { get, .. } => {
                let mut numbers = [0; MAX_NUMBERS];
                let count = get(cx, &mut numbers);
                for (n, number) in numbers[..count].iter().enumerate() {
                    if n > 0 {
                        out.byte(b'\t')?;
                    }
                    write!(out, "{number}")?;
                }
                out.byte(b'\n')
            }
            Value::Text { get, .. } => {
                get(cx, out)?;
                out.byte(b'\n')
            }
        }
    }

    /// Takes a write at a position.
    pub fn write(&self, cx: &ProcCx<'_>, offset: u64, data: &[u8]) -> Result<usize> {
        match &self.value {
            Value::Text { set, max, .. } => {
                ensure!(offset == 0, EINVAL, "sysctl: a text is written at once");
                let len = data
                    .iter()
                    .position(|byte| matches!(byte, b'\n' | 0))
                    .unwrap_or(data.len());
                set(cx, &data[..len.min(max - 1)])?;
            }
            // A number is taken from the first write only (`sysctl_writes_strict`).
            _ if offset != 0 => {}
            Value::Cell { cell, min, max } => {
                let [value] = number::parse::<1>(data)?[..] else {
                    return Ok(data.len());
                };
                check_range(value, *min, *max)?;
                cell(&cx.kernel.sysctl).set(value);
            }
            Value::Net { cell, min, max } => {
                let [value] = number::parse::<1>(data)?[..] else {
                    return Ok(data.len());
                };
                check_range(value, *min, *max)?;
                cell(&cx.reader.nsproxy().net_ns.stack().sysctl).set(value);
            }
            Value::NetCore { cell, min } => {
                let [value] = number::parse::<1>(data)?[..] else {
                    return Ok(data.len());
                };
                check_range(value, *min, i32::MAX.into())?;
                cell(&cx.kernel.net.core).set(value);
            }
            Value::Number { set, min, max, .. } => {
                let [value] = number::parse::<1>(data)?[..] else {
                    return Ok(data.len());
                };
                check_range(value, *min, *max)?;
                set(cx, value)?;
            }
            Value::Ipc(value) => value.write(cx.ipc_ns()?, data)?,
            Value::UserLimit(kind) => {
                let [value] = number::parse::<1>(data)?[..] else {
                    return Ok(data.len());
                };
                check_range(value, 0, i32::MAX as i64)?;
                cx.reader.user_ns().ucount_limits().set_max(*kind, value);
            }
            Value::Numbers { set, .. } => {
                let values = number::parse::<MAX_NUMBERS>(data)?;
                for &value in &values {
                    check_range(value, i32::MIN as i64, i32::MAX as i64)?;
                }
                set(cx, &values)?;
            }
        }
        Ok(data.len())
    }
}

fn check_range(value: i64, min: i64, max: i64) -> Result<()> {
    if value < min || value > max {
        bail!(EINVAL, "sysctl: the number is out of range");
    }
    Ok(())
}

/// The root of a network namespace's owner, or of the machine if that has no root (Linux's
/// `net_ctl_set_ownership`).
pub(super) fn net_owner(user_ns: &UserNamespace) -> (Kuid, Kgid) {
    (
        user_ns.make_kuid(Uid(0)).unwrap_or(Kuid::ROOT),
        user_ns.make_kgid(Gid(0)).unwrap_or(Kgid::ROOT),
    )
}

/// Linux's `net_ctl_permissions`.
fn net_granted(owner: &Arc<UserNamespace>, cred: &Cred, mode: u32) -> u32 {
    let (uid, gid) = net_owner(owner);
    if cred.euid == uid || cred.ns_capable(owner, Capability::NET_ADMIN) {
        mode >> 6
    } else if cred.egid == gid || cred.groups.contains(&gid) {
        mode >> 3
    } else {
        mode
    }
}
