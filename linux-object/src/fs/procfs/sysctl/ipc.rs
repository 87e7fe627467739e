//! Settings of an IPC namespace: the one that the opener of the file was in (`ipc/ipc_sysctl.c`,
//! `ipc/mq_sysctl.c`).
//!
//! They belong to the root of the user namespace that owns the IPC namespace.

use alloc::sync::Arc;
use core::sync::atomic::{AtomicI32, Ordering};

use super::number;
use crate::cred::{Capability, Cred};
use crate::error::Result;
use crate::fs::seq_file::SeqBuf;
use crate::ids::{Gid, Kgid, Kuid, Uid};
use crate::ipc::{IPCMNI, IpcContent, IpcLimits};
use crate::namespace::IpcNamespace;
use crate::sysctl::Setting;
use crate::{bail, ensure};

/// What a setting is.
pub(in crate::fs::procfs) enum IpcValue {
    /// A number in a range.
    Number {
        cell: fn(&IpcLimits) -> &Setting,
        min: i64,
        max: i64,
    },
    /// Any `unsigned long`.
    Unsigned(fn(&IpcLimits) -> &Setting),
    /// `shm_rmid_forced`: setting it removes what nobody uses.
    RmidForced,
    /// The four limits of semaphores.
    Sem,
    /// The id of the next object.
    NextId(fn(&IpcContent) -> &AtomicI32),
    /// Read as 0; written 0 or 1, which has had no effect on Linux since 3.19.
    AutoMsgmni,
}

/// Root of the namespace's owner, or of the machine if that has no root.
pub(in crate::fs::procfs) fn owner(ns: &IpcNamespace) -> (Kuid, Kgid) {
    let user_ns = ns.user_ns();
    (
        user_ns.make_kuid(Uid(0)).unwrap_or(Kuid::ROOT),
        user_ns.make_kgid(Gid(0)).unwrap_or(Kgid::ROOT),
    )
}

impl IpcValue {
    /// Which of the permissions in `mode` the caller has (Linux's `ipc_permissions`).
    pub fn granted(&self, ns: &IpcNamespace, cred: &Cred, mode: u32) -> u32 {
        let owner_ns = ns.user_ns();
        if let IpcValue::NextId(_) = self
            && (cred.ns_capable(owner_ns, Capability::CHECKPOINT_RESTORE)
                || cred.ns_capable(owner_ns, Capability::SYS_ADMIN))
        {
            return 0o6;
        }
        let (uid, gid) = owner(ns);
        if cred.euid == uid {
            mode >> 6
        } else if cred.egid == gid || cred.groups.contains(&gid) {
            mode >> 3
        } else {
            mode
        }
    }

    /// Writes the line.
    pub fn show(&self, ns: &Arc<IpcNamespace>, out: &mut SeqBuf) -> Result<()> {
        let content = ns.content();
        match self {
            IpcValue::Number { cell, .. } => writeln!(out, "{}", cell(&content.limits).get()),
            IpcValue::Unsigned(cell) => writeln!(out, "{}", cell(&content.limits).get_u64()),
            IpcValue::RmidForced => writeln!(out, "{}", content.limits.shm_rmid_forced.get()),
            IpcValue::Sem => {
                let [msl, mns, opm, mni] = content.limits.sem();
                writeln!(out, "{msl}\t{mns}\t{opm}\t{mni}")
            }
            IpcValue::NextId(cell) => writeln!(out, "{}", cell(content).load(Ordering::Relaxed)),
            IpcValue::AutoMsgmni => writeln!(out, "0"),
        }
    }

    /// Takes a write.
    pub fn write(&self, ns: &Arc<IpcNamespace>, data: &[u8]) -> Result<()> {
        let content = ns.content();
        if let IpcValue::Unsigned(cell) = self {
            let value = number::parse_unsigned(data)?;
            cell(&content.limits).set(value as i64);
            return Ok(());
        }
        if let IpcValue::Sem = self {
            return write_sem(content, data);
        }
        let [value] = number::parse::<1>(data)?[..] else {
            return Ok(());
        };
        let (min, max) = match self {
            IpcValue::Number { min, max, .. } => (*min, *max),
            IpcValue::NextId(_) => (0, i32::MAX.into()),
            _ => (0, 1),
        };
        ensure!(
            (min..=max).contains(&value),
            EINVAL,
            "sysctl: the number is out of range"
        );
        match self {
            IpcValue::Number { cell, .. } => cell(&content.limits).set(value),
            IpcValue::NextId(cell) => cell(content).store(value as i32, Ordering::Relaxed),
            IpcValue::RmidForced => {
                content.limits.shm_rmid_forced.set(value);
                if value != 0 {
                    content.remove_orphans();
                }
            }
            _ => {}
        }
        Ok(())
    }
}

/// Up to four numbers; the last one has a range, beyond which only it is refused.
fn write_sem(content: &IpcContent, data: &[u8]) -> Result<()> {
    let mut sem = content.limits.sem();
    let old = sem[3];
    let values = number::parse::<4>(data)?;
    for (limit, &value) in sem.iter_mut().zip(&values) {
        let Ok(value) = i32::try_from(value) else {
            bail!(EINVAL, "sysctl: the number is out of range");
        };
        *limit = value;
    }
    let fits = u32::try_from(sem[3]).is_ok_and(|count| count <= IPCMNI);
    if !fits {
        sem[3] = old;
    }
    content.limits.set_sem(sem);
    ensure!(fits, ERANGE, "sem: more sets than there are ids");
    Ok(())
}
