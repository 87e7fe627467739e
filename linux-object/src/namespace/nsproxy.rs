//! A task's namespaces (Linux's `struct nsproxy`), and changes of them as prepare and commit.
//!
//! An [`NsProxy`] is immutable and shared by tasks with the same namespaces; a change makes a new
//! one, and the last step of `clone`, `unshare` and `setns` installs it. Whatever fails before that
//! step drops the new one and has changed nothing.

use alloc::sync::Arc;

use super::{
    CgroupNamespace, IpcNamespace, MountNamespace, Namespace, NetNamespace, NsKind, NsRegistry, PidNamespace,
    TimeNamespace, UserNamespace, UtsNamespace,
};
use crate::cgroup::CssSet;
use crate::cred::{Capability, Cred};
use crate::error::Result;
use crate::fs::FsStruct;
use crate::net::stack::NetShared;
use crate::task::Task;
use crate::task::clone::CloneFlags;
use crate::{bail, ensure};

/// The namespaces of a task, but for its user namespace (which its credentials hold) and its own
/// pid namespace (which its pid holds).
#[derive(Clone)]
#[allow(missing_docs)]
pub struct NsProxy {
    pub uts_ns: Arc<UtsNamespace>,
    pub ipc_ns: Arc<IpcNamespace>,
    pub mnt_ns: Arc<MountNamespace>,
    /// Where children are born.
    pub pid_ns_for_children: Arc<PidNamespace>,
    pub net_ns: Arc<NetNamespace>,
    pub cgroup_ns: Arc<CgroupNamespace>,
    pub time_ns: Arc<TimeNamespace>,
    /// Where children are born.
    pub time_ns_for_children: Arc<TimeNamespace>,
}

/// The initial namespaces, from which the first process's [`NsProxy`] is made.
#[allow(missing_docs)]
pub struct InitNamespaces {
    pub uts_ns: Arc<UtsNamespace>,
    pub ipc_ns: Arc<IpcNamespace>,
    pub pid_ns: Arc<PidNamespace>,
    pub net_ns: Arc<NetNamespace>,
    pub cgroup_ns: Arc<CgroupNamespace>,
    pub time_ns: Arc<TimeNamespace>,
}

impl InitNamespaces {
    /// All owned by `user_ns`; the cgroup namespace begins at `root_set`.
    pub fn new(
        registry: &Arc<NsRegistry>,
        user_ns: &Arc<UserNamespace>,
        root_set: &Arc<CssSet>,
        net: Arc<NetShared>,
    ) -> InitNamespaces {
        InitNamespaces {
            uts_ns: UtsNamespace::initial(registry, user_ns),
            ipc_ns: IpcNamespace::initial(registry, user_ns),
            pid_ns: PidNamespace::initial(registry, user_ns.clone()),
            net_ns: NetNamespace::initial(registry, user_ns, net),
            cgroup_ns: CgroupNamespace::initial(registry, user_ns, root_set),
            time_ns: TimeNamespace::initial(registry, user_ns),
        }
    }
    /// What the first process gets, with the mounts in `mnt_ns`.
    pub fn nsproxy(&self, mnt_ns: Arc<MountNamespace>) -> Arc<NsProxy> {
        Arc::new(NsProxy {
            uts_ns: self.uts_ns.clone(),
            ipc_ns: self.ipc_ns.clone(),
            mnt_ns,
            pid_ns_for_children: self.pid_ns.clone(),
            net_ns: self.net_ns.clone(),
            cgroup_ns: self.cgroup_ns.clone(),
            time_ns: self.time_ns.clone(),
            time_ns_for_children: self.time_ns.clone(),
        })
    }
}

impl NsProxy {
    /// Linux's `create_new_namespaces`: the same namespaces but for the new ones of `flags`, which
    /// `user_ns` owns. `fs` belongs to whoever will live in a new mount namespace.
    fn create(
        &self,
        task: &Task,
        flags: CloneFlags,
        user_ns: &Arc<UserNamespace>,
        cred: &Cred,
        fs: Option<&FsStruct>,
    ) -> Result<NsProxy> {
        let mut new = self.clone();
        if flags.contains(CloneFlags::NEWNS) {
            new.mnt_ns = MountNamespace::copy(&self.mnt_ns, user_ns, cred, fs)?;
        }
        if flags.contains(CloneFlags::NEWUTS) {
            new.uts_ns = UtsNamespace::create(&self.uts_ns, user_ns, cred)?;
        }
        if flags.contains(CloneFlags::NEWIPC) {
            new.ipc_ns = IpcNamespace::create(&self.ipc_ns, user_ns, cred)?;
        }
        if flags.contains(CloneFlags::NEWPID) {
            ensure!(
                Arc::ptr_eq(task.pid_ns(), &self.pid_ns_for_children),
                EINVAL,
                "children of this task are born in another pid namespace already"
            );
            new.pid_ns_for_children = PidNamespace::create(&self.pid_ns_for_children, user_ns, cred)?;
        }
        if flags.contains(CloneFlags::NEWCGROUP) {
            new.cgroup_ns = CgroupNamespace::create(task, &self.cgroup_ns, user_ns, cred)?;
        }
        if flags.contains(CloneFlags::NEWNET) {
            new.net_ns = NetNamespace::create(&self.net_ns, user_ns, cred)?;
        }
        if flags.contains(CloneFlags::NEWTIME) {
            new.time_ns_for_children = TimeNamespace::create(&self.time_ns_for_children, user_ns, cred)?;
        }
        Ok(new)
    }

    /// For a child (Linux's `copy_namespaces`). `cred` is the child's.
    pub fn copy_namespaces(
        self: &Arc<Self>,
        task: &Task,
        flags: CloneFlags,
        cred: &Cred,
        fs: Option<&FsStruct>,
    ) -> Result<Arc<NsProxy>> {
        let same_time = Arc::ptr_eq(&self.time_ns, &self.time_ns_for_children);
        if !flags.intersects(CloneFlags::NSPROXY) {
            if flags.contains(CloneFlags::VM) || same_time {
                return Ok(self.clone());
            }
        } else if !cred.ns_capable(&cred.user_ns, Capability::SYS_ADMIN) {
            bail!(EPERM, "clone: no CAP_SYS_ADMIN for new namespaces");
        }
        ensure!(
            !flags.contains(CloneFlags::NEWIPC | CloneFlags::SYSVSEM),
            EINVAL,
            "clone: a new IPC namespace with shared semaphore undo lists"
        );
        let mut new = self.create(task, flags, &cred.user_ns, cred, fs)?;
        if !flags.contains(CloneFlags::VM) {
            new.time_ns_for_children.freeze();
            new.time_ns = new.time_ns_for_children.clone();
        }
        Ok(Arc::new(new))
    }

    /// For the caller itself (Linux's `unshare_nsproxy_namespaces`): `None` if nothing changes.
    /// `new_cred` is set when a new user namespace comes with it.
    pub fn unshare(
        self: &Arc<Self>,
        task: &Task,
        flags: CloneFlags,
        new_cred: Option<&Cred>,
        new_fs: Option<&FsStruct>,
    ) -> Result<Option<Arc<NsProxy>>> {
        if !flags.intersects(CloneFlags::NSPROXY) {
            return Ok(None);
        }
        let current = task.cred();
        let cred = new_cred.unwrap_or(&current);
        ensure!(
            current.ns_capable(&cred.user_ns, Capability::SYS_ADMIN),
            EPERM,
            "unshare: no CAP_SYS_ADMIN for new namespaces"
        );
        self.create(task, flags, &cred.user_ns, cred, new_fs)
            .map(|new| Some(Arc::new(new)))
    }

    /// The namespace of this kind, but for `User`, which credentials hold. `Pid` is that of children.
    pub fn get(&self, kind: NsKind) -> Option<Arc<dyn Namespace>> {
        Some(match kind {
            NsKind::User => return None,
            NsKind::Mnt => self.mnt_ns.clone(),
            NsKind::Uts => self.uts_ns.clone(),
            NsKind::Ipc => self.ipc_ns.clone(),
            NsKind::Pid => self.pid_ns_for_children.clone(),
            NsKind::Cgroup => self.cgroup_ns.clone(),
            NsKind::Net => self.net_ns.clone(),
            NsKind::Time => self.time_ns.clone(),
        })
    }
}

impl Task {
    /// Installs other namespaces (Linux's `switch_task_namespaces`).
    pub fn switch_task_namespaces(&self, new: Option<Arc<NsProxy>>) {
        let time_ns = new.as_ref().map(|new| new.time_ns.clone());
        let old = core::mem::replace(&mut self.parts.lock().nsproxy, new);
        if let (Some(old), Some(time_ns), Some(mm)) = (&old, time_ns, self.try_mm())
            && !Arc::ptr_eq(&old.time_ns, &time_ns)
            && crate::loader::vdso::join_time_ns(self.kernel(), &mm, &time_ns).is_err()
        {
            log::error!("no memory for the clock offsets of a time namespace");
        }
        drop(old);
    }
    /// The namespace that `/proc/PID/ns/NAME` leads to; `None` once the task has exited.
    pub fn namespace(&self, kind: NsKind) -> Option<Arc<dyn Namespace>> {
        match kind {
            NsKind::User => Some(self.user_ns()),
            NsKind::Pid => Some(self.pid_ns().clone()),
            _ => self.try_nsproxy()?.get(kind),
        }
    }
    /// Likewise for `pid_for_children` (absent until that namespace has an init) and `time_for_children`.
    pub fn namespace_for_children(&self, kind: NsKind) -> Option<Arc<dyn Namespace>> {
        let nsproxy = self.try_nsproxy()?;
        match kind {
            NsKind::Pid => {
                nsproxy.pid_ns_for_children.child_reaper()?;
                Some(nsproxy.pid_ns_for_children.clone())
            }
            NsKind::Time => Some(nsproxy.time_ns_for_children.clone()),
            _ => None,
        }
    }
}
