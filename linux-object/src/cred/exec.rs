//! Credentials across `execve(2)` (`capabilities(7)` "Transformation of capabilities during
//! execve()", `credentials(7)`).

use alloc::sync::Arc;
use core::sync::atomic::Ordering;

use super::{Capabilities, Capability, Cred, SecureBits};
use crate::error::{Errno, Result};
use crate::fs::{INode, MountFlags, Path};
use crate::ids::{Kuid, Uid};
use crate::namespace::UserNamespace;
use crate::task::Task;
use crate::{bail, ensure};

const S_ISUID: u32 = 0o4000;
const S_ISGID: u32 = 0o2000;
const S_IXGRP: u32 = 0o010;

const VFS_CAP_REVISION_MASK: u32 = 0xff00_0000;
const VFS_CAP_FLAGS_EFFECTIVE: u32 = 1;
const VFS_CAP_REVISION_1: u32 = 0x0100_0000;
const VFS_CAP_REVISION_2: u32 = 0x0200_0000;
const VFS_CAP_REVISION_3: u32 = 0x0300_0000;

/// File capabilities as `security.capability` holds them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FileCaps {
    /// Gives these if the bounding set has them.
    pub permitted: Capabilities,
    /// Gives those of these that the task has inheritable.
    pub inheritable: Capabilities,
    /// Makes the new permitted set effective.
    pub effective: bool,
    /// The root user, in the initial user namespace's numbers, of the user namespace (and those
    /// below it) in which the capabilities hold.
    pub root: u32,
}

/// Parses `security.capability` (versions 1 to 3). `EINVAL` if it is malformed.
pub fn parse_file_caps(bytes: &[u8]) -> Result<FileCaps> {
    let word = |n: usize| -> Option<u32> {
        let bytes = bytes.get(n * 4..n * 4 + 4)?;
        Some(u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
    };
    let Some(magic) = word(0) else {
        bail!(EINVAL, "file capabilities: too short");
    };
    let (words, len) = match magic & VFS_CAP_REVISION_MASK {
        VFS_CAP_REVISION_1 => (1, 12),
        VFS_CAP_REVISION_2 => (2, 20),
        VFS_CAP_REVISION_3 => (2, 24),
        _ => bail!(EINVAL, "file capabilities: unknown version"),
    };
    ensure!(bytes.len() == len, EINVAL, "file capabilities: wrong length");
    let set = |first: usize| {
        let low = u64::from(word(first).unwrap_or(0));
        let high = if words == 2 {
            u64::from(word(first + 2).unwrap_or(0))
        } else {
            0
        };
        Capabilities::from_bits_truncate(low | high << 32)
    };
    Ok(FileCaps {
        permitted: set(1),
        inheritable: set(2),
        effective: magic & VFS_CAP_FLAGS_EFFECTIVE != 0,
        root: if len == 24 { word(5).unwrap_or(0) } else { 0 },
    })
}

/// What a file asks for when it is executed.
#[derive(Clone, Copy, Default, Debug)]
pub struct FilePrivileges {
    /// Set-uid: the owner.
    pub set_uid: Option<Kuid>,
    /// Set-gid: the group.
    pub set_gid: Option<crate::ids::Kgid>,
    /// File capabilities.
    pub caps: Option<FileCaps>,
}

/// What comes out.
pub struct ExecCreds {
    /// The new credentials.
    pub cred: Cred,
    /// `AT_SECURE`: the program runs with more than its caller had.
    pub secure: bool,
    /// Effective and real ids differ: nobody may dump it.
    pub privileged: bool,
}

/// Reads what the file gives: nothing on a `nosuid` mount, to a task with `no_new_privs`, or if
/// its owner means nobody in the task's user namespace (Linux's `bprm_fill_uid`, `get_file_caps`).
pub fn file_privileges(task: &Task, path: &Path, inode: &Arc<dyn INode>) -> Result<FilePrivileges> {
    let mut found = FilePrivileges::default();
    if !may_suid(task, path) {
        return Ok(found);
    }
    let meta = inode.metadata();
    let user_ns = task.user_ns();
    let mapped = user_ns.from_kuid(meta.uid).is_some() && user_ns.from_kgid(meta.gid).is_some();
    let no_new_privs = task.no_new_privs.load(Ordering::Relaxed);
    if mapped && !no_new_privs {
        if meta.mode & S_ISUID != 0 {
            found.set_uid = Some(meta.uid);
        }
        if meta.mode & (S_ISGID | S_IXGRP) == S_ISGID | S_IXGRP {
            found.set_gid = Some(meta.gid);
        }
    }
    found.caps = match inode.getxattr(b"security.capability") {
        Ok(bytes) => {
            let caps = parse_file_caps(&bytes)?;
            root_owns(&user_ns, Kuid(caps.root)).then_some(caps)
        }
        Err(error) if matches!(error.errno(), Errno::ENODATA | Errno::EOPNOTSUPP) => None,
        Err(error) => return Err(error),
    };
    Ok(found)
}

/// Whether `root` is the root of `ns` or of a namespace around it (Linux's `rootid_owns_currentns`).
pub fn root_owns(ns: &Arc<UserNamespace>, root: Kuid) -> bool {
    let mut ns = Some(ns);
    while let Some(here) = ns {
        if here.make_kuid(Uid(0)) == Some(root) {
            return true;
        }
        ns = here.parent();
    }
    false
}

/// Whether set-uid and file capabilities count at all (Linux's `mnt_may_suid`).
fn may_suid(task: &Task, path: &Path) -> bool {
    let Some(nsproxy) = task.try_nsproxy() else {
        return false;
    };
    !path.mount.flags().contains(MountFlags::NOSUID)
        && path
            .mount
            .ns()
            .is_some_and(|ns| Arc::ptr_eq(&ns, &nsproxy.mnt_ns))
        && path.mount.sb.user_ns.contains(&task.user_ns())
}

/// Why a program may not gain what its file gives.
#[derive(Clone, Copy, Default, Debug)]
pub struct Unsafe {
    /// `PR_SET_NO_NEW_PRIVS`.
    pub no_new_privs: bool,
    /// Another process shares root and working directory, and could change them under the program.
    pub shared_fs: bool,
    /// Its tracer has no CAP_SYS_PTRACE.
    pub traced: bool,
}

/// The transformation itself (Linux's `cap_bprm_creds_from_file`). `EPERM` if the file's
/// capabilities are effective, but not all of them are to be had.
pub fn transform(old: &Cred, file: &FilePrivileges, unsafety: Unsafe) -> Result<ExecCreds> {
    let mut new = old.clone();
    if let Some(uid) = file.set_uid {
        new.euid = uid;
    }
    if let Some(gid) = file.set_gid {
        new.egid = gid;
    }
    let root = old.root_kuid();
    let mut effective = false;
    let mut has_fcap = false;
    new.cap_permitted = Capabilities::empty();
    if let Some(caps) = &file.caps {
        has_fcap = true;
        effective = caps.effective;
        // pP' = (X & fP) | (pI & fI)
        new.cap_permitted = caps.permitted & old.cap_bounding | caps.inheritable & old.cap_inheritable;
        ensure!(
            !effective || new.cap_permitted.contains(caps.permitted),
            EPERM,
            "execve: the bounding set lacks capabilities that the file needs"
        );
    }
    let is_root = |uid: Kuid| Some(uid) == root;
    let root_rules = !new.securebits.contains(SecureBits::NOROOT);
    // Root gets everything, unless the file says otherwise and only the effective user is root.
    if root_rules && !(has_fcap && !is_root(old.uid) && is_root(new.euid)) {
        if is_root(new.euid) || is_root(new.uid) {
            new.cap_permitted = old.cap_bounding | old.cap_inheritable;
        }
        if is_root(new.euid) {
            effective = true;
        }
    }
    let gained = !old.cap_permitted.contains(new.cap_permitted);
    let is_setid = new.euid != old.uid || new.egid != old.gid;
    if (is_setid || gained) && (unsafety.no_new_privs || unsafety.shared_fs || unsafety.traced) {
        // No more than the caller had.
        if unsafety.no_new_privs || !old.ns_capable(&old.user_ns, Capability::SETUID) {
            new.euid = new.uid;
            new.egid = new.gid;
        }
        new.cap_permitted &= old.cap_permitted;
    }
    (new.suid, new.fsuid) = (new.euid, new.euid);
    (new.sgid, new.fsgid) = (new.egid, new.egid);
    if has_fcap || is_setid {
        new.cap_ambient = Capabilities::empty();
    }
    // pA' is in pP' and, without file capabilities, in pE'.
    new.cap_permitted |= new.cap_ambient;
    new.cap_effective = if effective {
        new.cap_permitted
    } else {
        new.cap_ambient
    };
    new.securebits.remove(SecureBits::KEEP_CAPS);
    let secure =
        is_setid || !is_root(new.uid) && (effective || !(new.cap_permitted - new.cap_ambient).is_empty());
    Ok(ExecCreds {
        privileged: new.euid != new.uid || new.egid != new.gid,
        cred: new,
        secure,
    })
}

/// The credentials with which `task` will run the program at `path` (for a script: its interpreter).
pub fn bprm_creds(task: &Task, path: &Path, inode: &Arc<dyn INode>) -> Result<ExecCreds> {
    let file = file_privileges(task, path, inode)?;
    let shared_fs = {
        let sharers = task.fs().users.load(Ordering::Acquire) as usize;
        sharers > task.group().nr_threads()
    };
    let unsafety = Unsafe {
        no_new_privs: task.no_new_privs.load(Ordering::Relaxed),
        shared_fs,
        traced: task.has_weak_tracer(&task.user_ns()),
    };
    transform(&task.cred(), &file, unsafety)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::Kgid;
    use crate::kobject::KoidTable;
    use crate::namespace::NsRegistry;

    fn cred(uid: u32) -> Cred {
        let registry = NsRegistry::new(Arc::new(KoidTable::new()));
        let mut cred = Cred::root(UserNamespace::initial(&registry, 1000));
        if uid != 0 {
            (cred.uid, cred.euid, cred.suid, cred.fsuid) = (Kuid(uid), Kuid(uid), Kuid(uid), Kuid(uid));
            cred.cap_permitted = Capabilities::empty();
            cred.cap_effective = Capabilities::empty();
        }
        cred
    }

    fn caps(permitted: Capabilities, inheritable: Capabilities, effective: bool) -> FilePrivileges {
        FilePrivileges {
            caps: Some(FileCaps {
                permitted,
                inheritable,
                effective,
                root: 0,
            }),
            ..Default::default()
        }
    }

    #[test]
    fn ordinary_user_ordinary_file() {
        let out = transform(&cred(5), &FilePrivileges::default(), Unsafe::default()).unwrap();
        assert!(out.cred.cap_permitted.is_empty() && !out.secure);
    }

    #[test]
    fn root_keeps_all_within_the_bounding_set() {
        let mut old = cred(0);
        old.cap_bounding.remove(Capabilities::SYS_ADMIN);
        let out = transform(&old, &FilePrivileges::default(), Unsafe::default()).unwrap();
        assert_eq!(
            out.cred.cap_permitted,
            Capabilities::all() - Capabilities::SYS_ADMIN
        );
        assert_eq!(out.cred.cap_effective, out.cred.cap_permitted);
        assert!(!out.secure);
    }

    #[test]
    fn set_uid_root_gets_all_and_is_secure() {
        let file = FilePrivileges {
            set_uid: Some(Kuid::ROOT),
            ..Default::default()
        };
        let out = transform(&cred(5), &file, Unsafe::default()).unwrap();
        assert_eq!(
            (out.cred.uid, out.cred.euid, out.cred.suid),
            (Kuid(5), Kuid(0), Kuid(0))
        );
        assert_eq!(out.cred.cap_effective, Capabilities::all());
        assert!(out.secure && out.privileged);
        let nnp = Unsafe {
            no_new_privs: true,
            ..Unsafe::default()
        };
        let out = transform(&cred(5), &file, nnp).unwrap();
        assert_eq!(out.cred.euid, Kuid(5));
        assert!(out.cred.cap_permitted.is_empty());
    }

    #[test]
    fn file_capabilities_follow_the_formula() {
        let mut old = cred(5);
        old.cap_inheritable = Capabilities::NET_RAW;
        old.cap_bounding.remove(Capabilities::SYS_TIME);
        let give = Capabilities::NET_ADMIN;
        let file = caps(give, Capabilities::NET_RAW | Capabilities::KILL, false);
        let out = transform(&old, &file, Unsafe::default()).unwrap();
        assert_eq!(out.cred.cap_permitted, give | Capabilities::NET_RAW);
        assert!(out.cred.cap_effective.is_empty());
        assert!(out.secure);
        let out = transform(&old, &caps(give, Capabilities::empty(), true), Unsafe::default()).unwrap();
        assert_eq!(out.cred.cap_effective, give);
        // An effective file whose capabilities are bounded cannot run.
        let file = caps(Capabilities::SYS_TIME, Capabilities::empty(), true);
        assert!(transform(&old, &file, Unsafe::default()).is_err());
        let file = caps(Capabilities::SYS_TIME, Capabilities::empty(), false);
        assert!(
            transform(&old, &file, Unsafe::default())
                .unwrap()
                .cred
                .cap_permitted
                .is_empty()
        );
    }

    #[test]
    fn ambient_survives_only_plain_files() {
        let mut old = cred(5);
        old.cap_permitted = Capabilities::CHOWN;
        old.cap_inheritable = Capabilities::CHOWN;
        old.cap_ambient = Capabilities::CHOWN;
        let out = transform(&old, &FilePrivileges::default(), Unsafe::default()).unwrap();
        assert_eq!(out.cred.cap_effective, Capabilities::CHOWN);
        assert!(!out.secure);
        let out = transform(
            &old,
            &caps(Capabilities::empty(), Capabilities::empty(), false),
            Unsafe::default(),
        )
        .unwrap();
        assert!(out.cred.cap_permitted.is_empty() && out.cred.cap_ambient.is_empty());
        let file = FilePrivileges {
            set_gid: Some(Kgid(9)),
            ..Default::default()
        };
        assert!(
            transform(&old, &file, Unsafe::default())
                .unwrap()
                .cred
                .cap_ambient
                .is_empty()
        );
    }

    #[test]
    fn noroot_makes_root_ordinary() {
        let mut old = cred(0);
        old.securebits = SecureBits::NOROOT;
        let out = transform(&old, &FilePrivileges::default(), Unsafe::default()).unwrap();
        assert!(out.cred.cap_permitted.is_empty());
    }

    #[test]
    fn parses_all_versions() {
        let bytes = |words: &[u32]| {
            words
                .iter()
                .flat_map(|word| word.to_le_bytes())
                .collect::<alloc::vec::Vec<u8>>()
        };
        let v2 = parse_file_caps(&bytes(&[0x0200_0001, 1 << 12, 0, 0, 0])).unwrap();
        assert_eq!(v2.permitted, Capabilities::NET_ADMIN);
        assert!(v2.effective);
        let v3 = parse_file_caps(&bytes(&[0x0300_0000, 0, 1, 1 << 7, 0, 1000])).unwrap();
        assert_eq!((v3.root, v3.permitted), (1000, Capabilities::BPF));
        assert_eq!(v3.inheritable, Capabilities::CHOWN);
        assert!(parse_file_caps(&bytes(&[0x0300_0000, 0, 1, 1, 0])).is_err());
        assert!(parse_file_caps(&[]).is_err());
    }
}
