//! A task's namespaces (Linux's `struct nsproxy`).

use alloc::sync::Arc;

use super::{MountNamespace, PidNamespace};

/// The namespaces of a task, but for its user namespace (which its credentials hold) and its own
/// pid namespace (which its pid holds).
#[derive(Clone)]
pub struct NsProxy {
    /// The mounts it sees.
    pub mnt_ns: Arc<MountNamespace>,
    /// Where children are born.
    pub pid_ns_for_children: Arc<PidNamespace>,
}
