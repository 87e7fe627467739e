//! The eight namespaces (`namespaces(7)`).
//!
//! One file per namespace: its identity, its copy rule and its install rule; the content lives in
//! its subsystem. [`NsProxy`] is a task's set of them.

mod mnt_ns;
mod nsproxy;
mod pid_ns;
mod user_ns;

pub use mnt_ns::MountNamespace;
pub use nsproxy::NsProxy;
pub use pid_ns::PidNamespace;
pub use user_ns::UserNamespace;
