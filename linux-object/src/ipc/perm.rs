//! Who owns an object and what others may do with it (`sysvipc(7)`, Linux's `kern_ipc_perm`).

use alloc::sync::Arc;

use crate::cred::{Capability, Cred};
use crate::ensure;
use crate::error::Result;
use crate::ids::{Gid, Kgid, Kuid, Uid};
use crate::namespace::UserNamespace;

bitflags::bitflags! {
    /// Flags of the `get` calls above the permission bits, and of operations.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    #[allow(missing_docs)]
    pub struct IpcFlags: u32 {
        const CREAT = 0o1000;
        const EXCL = 0o2000;
        const NOWAIT = 0o4000;
        /// The permission bits.
        const MODE = 0o777;
    }
}

/// The key of an object that no key finds.
pub const IPC_PRIVATE: i32 = 0;

/// Read permission for everyone, as a request.
pub const READ: u32 = 0o444;
/// Write permission for everyone, as a request.
pub const WRITE: u32 = 0o222;

/// Identity, owner and permissions of an object.
#[derive(Clone, Copy, Debug)]
pub struct IpcPerm {
    /// What user space calls it: sequence number and index.
    pub id: i32,
    /// Its key.
    pub key: i32,
    /// Its sequence number.
    pub seq: u16,
    /// Owner.
    pub uid: Kuid,
    /// Owning group.
    pub gid: Kgid,
    /// Who made it.
    pub cuid: Kuid,
    /// The group of who made it.
    pub cgid: Kgid,
    /// Permission bits, and the two bits of segments above them.
    pub mode: u32,
}

impl IpcPerm {
    /// Of an object that `cred` makes. It gets its id when it is entered.
    pub fn new(key: i32, flags: u32, cred: &Cred) -> IpcPerm {
        IpcPerm {
            id: -1,
            key,
            seq: 0,
            uid: cred.euid,
            gid: cred.egid,
            cuid: cred.euid,
            cgid: cred.egid,
            mode: flags & IpcFlags::MODE.bits(),
        }
    }

    /// Whether `cred` is its owner or maker.
    pub fn is_owned_by(&self, cred: &Cred) -> bool {
        cred.euid == self.cuid || cred.euid == self.uid
    }

    /// `EACCES` unless `cred` has the permissions in `flag`, whichever of the three places they stand in
    /// (Linux's `ipcperms`). `owner` owns the IPC namespace.
    pub fn check(&self, owner: &Arc<UserNamespace>, cred: &Cred, flag: u32) -> Result<()> {
        let wanted = (flag >> 6 | flag >> 3 | flag) & 7;
        let granted = if self.is_owned_by(cred) {
            self.mode >> 6
        } else if cred.in_group(self.cgid) || cred.in_group(self.gid) {
            self.mode >> 3
        } else {
            self.mode
        };
        ensure!(
            wanted & !granted == 0 || cred.ns_capable(owner, Capability::IPC_OWNER),
            EACCES,
            "the mode of the object forbids it, and no CAP_IPC_OWNER in the owner of the namespace"
        );
        Ok(())
    }

    /// `EPERM` unless `cred` may change or remove the object.
    pub fn check_owner(&self, owner: &Arc<UserNamespace>, cred: &Cred) -> Result<()> {
        ensure!(
            self.is_owned_by(cred) || cred.ns_capable(owner, Capability::SYS_ADMIN),
            EPERM,
            "neither owner nor maker, and no CAP_SYS_ADMIN in the owner of the namespace"
        );
        Ok(())
    }

    /// `IPC_SET`: ids are those of `user_ns`; `EINVAL` if it has no such ids.
    pub fn update(&mut self, user_ns: &UserNamespace, uid: Uid, gid: Gid, mode: u32) -> Result<()> {
        let (Some(uid), Some(gid)) = (user_ns.make_kuid(uid), user_ns.make_kgid(gid)) else {
            crate::bail!(EINVAL, "IPC_SET: an id without a mapping");
        };
        (self.uid, self.gid) = (uid, gid);
        let bits = IpcFlags::MODE.bits();
        self.mode = self.mode & !bits | mode & bits;
        Ok(())
    }
}
