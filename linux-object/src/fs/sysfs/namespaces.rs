//! `/sys/kernel/namespaces`: every living namespace by KoID, and the tree that they form.
//!
//! `list` is a table for programs, `tree` a drawing for people, and each namespace has a directory
//! with one fact per file. Members of a namespace are the tasks that are in it; a namespace without members is kept
//! alive by a descriptor, a bind mount, a child or what it owns.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use hashbrown::HashMap;

use crate::error::Result;
use crate::fs::seq_file::SeqBuf;
use crate::ids::KoID;
use crate::kernel::Kernel;
use crate::namespace::{Namespace, NsKind, UserNamespace};

/// The namespace of a directory.
pub(super) fn find(kernel: &Kernel, name: &[u8]) -> Option<KoID> {
    let text = core::str::from_utf8(name).ok()?;
    let koid = KoID(text.parse().ok()?);
    let canonical = !text.starts_with(['0', '+']);
    (canonical && kernel.namespaces.find(koid).is_some()).then_some(koid)
}

/// Tasks per namespace.
fn members(kernel: &Kernel) -> HashMap<KoID, usize> {
    let mut counts = HashMap::new();
    kernel.tasks.for_each_group(&kernel.init_ns.pid_ns, |_, group| {
        for task in group.threads() {
            for kind in NsKind::ALL {
                if let Some(ns) = task.namespace(kind) {
                    *counts.entry(ns.common().koid()).or_insert(0) += 1;
                }
            }
        }
    });
    counts
}

/// A file of a namespace's directory.
pub(super) struct NsFile {
    pub name: &'static str,
    pub show: fn(&Arc<Kernel>, &dyn Namespace, &mut SeqBuf) -> Result<()>,
}

/// The files of a namespace's directory.
pub(super) static FILES: &[NsFile] = &[
    NsFile {
        name: "members",
        show: |kernel, ns, out| {
            let members = members(kernel);
            writeln!(out, "{}", members.get(&ns.common().koid()).unwrap_or(&0))
        },
    },
    NsFile {
        name: "number",
        show: |_, ns, out| writeln!(out, "{}", ns.common().number()),
    },
    NsFile {
        name: "owner",
        show: |_, ns, out| match ns.owner_ns() {
            Some(owner) => writeln!(out, "{}", owner.koid()),
            None => writeln!(out, "-"),
        },
    },
    NsFile {
        name: "parent",
        show: |_, ns, out| match ns.parent_ns() {
            Some(parent) => writeln!(out, "{}", parent.common().koid()),
            None => writeln!(out, "-"),
        },
    },
    NsFile {
        name: "type",
        show: |_, ns, out| writeln!(out, "{}", ns.kind().name()),
    },
];

/// `list`: one line per namespace in the order of their birth.
pub(super) fn list(kernel: &Arc<Kernel>, out: &mut SeqBuf) -> Result<()> {
    let members = members(kernel);
    writeln!(
        out,
        "{:>8} {:6} {:>10} {:>8} {:>8} {:>7}",
        "KOID", "TYPE", "NUMBER", "OWNER", "PARENT", "MEMBERS"
    )?;
    for ns in kernel.namespaces.list() {
        let koid = ns.common().koid();
        write!(
            out,
            "{koid:>8} {:6} {:>10}",
            ns.kind().name(),
            ns.common().number()
        )?;
        match ns.owner_ns() {
            Some(owner) => write!(out, " {:>8}", owner.koid())?,
            None => write!(out, " {:>8}", "-")?,
        }
        match ns.parent_ns() {
            Some(parent) => write!(out, " {:>8}", parent.common().koid())?,
            None => write!(out, " {:>8}", "-")?,
        }
        writeln!(out, " {:>7}", members.get(&koid).unwrap_or(&0))?;
    }
    Ok(())
}

/// What the drawing needs to know of a namespace.
struct Leaf {
    koid: KoID,
    /// Under which other one it is drawn: a pid namespace under its parent if both have one owner, else
    /// each under its owner, and user namespaces under their parents.
    above: Option<KoID>,
    label: String,
}

/// `tree`: user namespaces with what they own.
pub(super) fn tree(kernel: &Arc<Kernel>, out: &mut SeqBuf) -> Result<()> {
    let members = members(kernel);
    let leaves: Vec<Leaf> = kernel
        .namespaces
        .list()
        .iter()
        .map(|ns| {
            let koid = ns.common().koid();
            let owner = ns.owner_ns();
            let beside = ns.parent_ns().filter(|parent| {
                let owner_of_parent = parent.owner_ns();
                ns.kind() == NsKind::Pid && same(&owner, &owner_of_parent)
            });
            let mut label = alloc::format!("{}:[{}] koid {koid}", ns.kind().name(), ns.common().number());
            if let Ok(user) = ns.clone().into_any().downcast::<UserNamespace>() {
                label += &alloc::format!(" uid {}", user.owner());
            }
            label += &alloc::format!(" members {}", members.get(&koid).unwrap_or(&0));
            Leaf {
                koid,
                above: beside
                    .map(|parent| parent.common().koid())
                    .or(owner.map(|owner| owner.koid())),
                label,
            }
        })
        .collect();
    draw(&leaves, None, &mut String::new(), out)
}

fn same(a: &Option<Arc<UserNamespace>>, b: &Option<Arc<UserNamespace>>) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => Arc::ptr_eq(a, b),
        _ => false,
    }
}

/// Draws what hangs below `above`. Namespaces nest at most 32 deep in either way.
fn draw(leaves: &[Leaf], above: Option<KoID>, indent: &mut String, out: &mut SeqBuf) -> Result<()> {
    let below: Vec<_> = leaves.iter().filter(|leaf| leaf.above == above).collect();
    for (n, leaf) in below.iter().enumerate() {
        let last = n + 1 == below.len();
        let (branch, trunk) = match (above, last) {
            (None, _) => ("", ""),
            (_, true) => ("`-", "  "),
            (_, false) => ("|-", "| "),
        };
        writeln!(out, "{indent}{branch}{}", leaf.label)?;
        indent.push_str(trunk);
        draw(leaves, Some(leaf.koid), indent, out)?;
        indent.truncate(indent.len() - trunk.len());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_a_tree() {
        let leaf = |koid, above: u64, label: &str| Leaf {
            koid: KoID(koid),
            above: (above != 0).then_some(KoID(above)),
            label: label.into(),
        };
        let leaves = [
            leaf(1, 0, "user:[1]"),
            leaf(2, 1, "pid:[2]"),
            leaf(3, 2, "pid:[3]"),
            leaf(4, 1, "user:[4]"),
            leaf(5, 4, "uts:[5]"),
        ];
        let mut out = SeqBuf::new();
        draw(&leaves, None, &mut String::new(), &mut out).unwrap();
        let want = "user:[1]\n|-pid:[2]\n| `-pid:[3]\n`-user:[4]\n  `-uts:[5]\n";
        assert_eq!(core::str::from_utf8(out.as_bytes()).unwrap(), want);
    }
}
