//! Memory policy (`set_mempolicy(2)`, `mbind(2)`, Linux's `Documentation/admin-guide/mm/numa_memory_policy.rst`).
//!
//! Model: the machine has one node, number 0, which is every cpuset's, so a policy decides nothing about where a page
//! comes from. All the rest of it is real: a thread has one, an area has one, areas with different policies do not
//! merge, and a policy that names no node that there is is refused.
//!
//! *Not here:* Linux keeps the policy of shared memory with the file, so that it is the same for all who map it.

use alloc::string::String;
use alloc::sync::Arc;
use core::ops::Range;

use super::addr_space::{Mm, Trash};
use super::mmap::user_range;
use crate::error::Result;
use crate::hal::PageFlags;
use crate::{bail, ensure};

/// Nodes that a mask has room for (`MAX_NUMNODES`).
pub const MAX_NODES: usize = 1024;

/// A set of nodes.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct NodeMask(pub [u64; MAX_NODES / 64]);

impl NodeMask {
    /// The nodes that there are.
    pub const ONLINE: NodeMask = {
        let mut mask = [0; MAX_NODES / 64];
        mask[0] = 1;
        NodeMask(mask)
    };
    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        *self == NodeMask::default()
    }
    /// Whether it has node 0.
    pub fn has_online(&self) -> bool {
        self.0[0] & 1 != 0
    }
    /// Whether it has only nodes that there are.
    pub fn is_online(&self) -> bool {
        self.is_empty() || *self == NodeMask::ONLINE
    }
}

/// `MPOL_*`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub enum PolicyMode {
    Preferred = 1,
    Bind = 2,
    Interleave = 3,
    Local = 4,
    PreferredMany = 5,
}

bitflags::bitflags! {
    /// Flags beside the mode (`MPOL_F_*`).
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    pub struct PolicyFlags: u32 {
        /// Nodes may be moved to where they are used; with one node they are there.
        const NUMA_BALANCING = 1 << 13;
        /// The mask counts among the nodes that are allowed.
        const RELATIVE_NODES = 1 << 14;
        /// The mask names nodes whatever is allowed.
        const STATIC_NODES = 1 << 15;
    }
}

/// A policy other than the default.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MemPolicy {
    mode: PolicyMode,
    flags: PolicyFlags,
    /// As `get_mempolicy(2)` shows it.
    nodes: NodeMask,
    /// `set_mempolicy_home_node(2)`.
    home: Option<u32>,
}

impl MemPolicy {
    /// From what a call is given; `None` is the default policy. `EINVAL` (Linux's `sanitize_mpol_flags`, `mpol_new` and
    /// `mpol_set_nodemask`).
    pub fn new(mode: u32, nodes: NodeMask) -> Result<Option<Arc<MemPolicy>>> {
        let flags = PolicyFlags::from_bits_truncate(mode);
        let fixed = PolicyFlags::STATIC_NODES | PolicyFlags::RELATIVE_NODES;
        ensure!(!flags.contains(fixed), EINVAL, "static and relative nodes");
        let named = flags.intersects(fixed);
        let mode = match mode & !PolicyFlags::all().bits() {
            0 => {
                ensure!(
                    nodes.is_empty() && !flags.contains(PolicyFlags::NUMA_BALANCING),
                    EINVAL,
                    "the default policy has no nodes"
                );
                return Ok(None);
            }
            1 if nodes.is_empty() => {
                ensure!(!named, EINVAL, "a policy needs nodes");
                PolicyMode::Local
            }
            1 => PolicyMode::Preferred,
            2 => PolicyMode::Bind,
            3 => PolicyMode::Interleave,
            4 => {
                ensure!(
                    nodes.is_empty() && !named,
                    EINVAL,
                    "the local policy has no nodes"
                );
                PolicyMode::Local
            }
            5 => PolicyMode::PreferredMany,
            _ => bail!(EINVAL, "no such policy"),
        };
        ensure!(
            mode == PolicyMode::Bind || !flags.contains(PolicyFlags::NUMA_BALANCING),
            EINVAL,
            "balancing is for bound memory"
        );
        let relative = flags.contains(PolicyFlags::RELATIVE_NODES) && !nodes.is_empty();
        ensure!(
            mode == PolicyMode::Local || relative || nodes.has_online(),
            EINVAL,
            "none of the nodes is there"
        );
        let nodes = match mode {
            PolicyMode::Local => NodeMask::default(),
            _ if named => nodes,
            _ => NodeMask::ONLINE,
        };
        let home = None;
        Ok(Some(Arc::new(MemPolicy {
            mode,
            flags,
            nodes,
            home,
        })))
    }
    /// Mode and flags, as `get_mempolicy(2)` gives them.
    pub fn number(policy: Option<&MemPolicy>) -> u32 {
        policy.map_or(0, |policy| policy.mode as u32 | policy.flags.bits())
    }
    /// Its nodes, likewise.
    pub fn nodes(policy: Option<&MemPolicy>) -> NodeMask {
        policy.map_or(NodeMask::default(), |policy| policy.nodes)
    }
    /// As `/proc/PID/numa_maps` shows it (Linux's `mpol_to_str`).
    pub fn text(policy: Option<&MemPolicy>) -> String {
        let Some(policy) = policy else {
            return "default".into();
        };
        let mut text = String::from(match policy.mode {
            PolicyMode::Preferred => "prefer",
            PolicyMode::Bind => "bind",
            PolicyMode::Interleave => "interleave",
            PolicyMode::Local => "local",
            PolicyMode::PreferredMany => "prefer (many)",
        });
        if policy.flags.contains(PolicyFlags::STATIC_NODES) {
            text.push_str("=static");
        } else if policy.flags.contains(PolicyFlags::RELATIVE_NODES) {
            text.push_str("=relative");
        }
        if policy.mode != PolicyMode::Local {
            text.push_str(":0");
        }
        text
    }
    /// Whether pages come from its nodes in turn.
    pub fn is_interleave(&self) -> bool {
        self.mode == PolicyMode::Interleave
    }
}

impl Mm {
    /// The policy of the area around `addr`. `EFAULT` if nothing is mapped there.
    pub fn policy_at(&self, addr: u64) -> Result<Option<Arc<MemPolicy>>> {
        let state = self.core.lock();
        let vma = state.vmas.find(addr).map(|pos| state.vmas.get(pos));
        match vma.filter(|vma| vma.start <= addr) {
            Some(vma) => Ok(vma.policy.clone()),
            None => bail!(EFAULT, "nothing is mapped there"),
        }
    }

    /// `mbind(2)`. With `exact`, no page of the range may be on the machine's node. `EFAULT` if there is a hole,
    /// `EIO` for such a page, `ENOMEM`.
    pub fn bind_policy(&self, range: Range<u64>, policy: Option<Arc<MemPolicy>>, exact: bool) -> Result<()> {
        let mut trash = Trash::default();
        let mut state = self.core.lock();
        let mut at = range.start;
        for vma in state.vmas.iter_range(range.start, range.end) {
            ensure!(vma.start <= at, EFAULT, "mbind: a part is not mapped");
            at = vma.end;
        }
        ensure!(at >= range.end, EFAULT, "mbind: a part is not mapped");
        if exact {
            let mut present = false;
            self.core.space.update(user_range(&range), &mut |_, pte| {
                present |= !pte.flags.contains(PageFlags::SPECIAL);
                None
            });
            ensure!(!present, EIO, "mbind: a page is not where it should be");
        }
        let mut at = range.start;
        let result = loop {
            let Some(vma) = state.vmas.find(at).map(|pos| state.vmas.get(pos)) else {
                break Ok(());
            };
            let part = at..vma.end.min(range.end);
            if vma.policy != policy {
                let split = state.split(&self.core, part.start);
                if let Err(error) = split.and_then(|()| state.split(&self.core, part.end)) {
                    break Err(error);
                }
                if let Some(pos) = state.vmas.find(part.start) {
                    state.vmas.get_mut(pos).policy = policy.clone();
                }
            }
            at = part.end;
            if at >= range.end {
                break Ok(());
            }
        };
        state.merge(range.start, at, &mut trash);
        drop(state);
        result
    }

    /// Names the node that pages of bound areas come from first (`set_mempolicy_home_node`). `ENOENT` if no area has a
    /// policy, `EOPNOTSUPP` at one that binds nothing.
    pub fn set_home_node(&self, range: Range<u64>, node: u32) -> Result<()> {
        let mut done = false;
        let mut at = range.start;
        while at < range.end {
            let found = {
                let state = self.core.lock();
                let vma = state.vmas.iter_range(at, range.end).next();
                vma.map(|vma| (vma.start.max(at)..vma.end.min(range.end), vma.policy.clone()))
            };
            let Some((part, policy)) = found else { break };
            at = part.end;
            let Some(policy) = policy else { continue };
            ensure!(
                matches!(policy.mode, PolicyMode::Bind | PolicyMode::PreferredMany),
                EOPNOTSUPP,
                "a home node is for policies that bind"
            );
            let new = MemPolicy {
                home: Some(node),
                ..(*policy).clone()
            };
            self.bind_policy(part, Some(Arc::new(new)), false)?;
            done = true;
        }
        ensure!(done, ENOENT, "no area there has a policy");
        Ok(())
    }

    /// On which node the page at `addr` is (`move_pages(2)`). `EFAULT` where nothing is mapped, for the page of
    /// zeroes and for anonymous memory without a page, `ENOENT` for a page of a file that is not there.
    pub fn node_of_page(&self, addr: u64) -> Result<u32> {
        let state = self.core.lock();
        let vma = state.vmas.find(addr).map(|pos| state.vmas.get(pos));
        let Some(vma) = vma.filter(|vma| vma.start <= addr) else {
            bail!(EFAULT, "nothing is mapped there")
        };
        let page = addr & !(crate::ids::PAGE_SIZE as u64 - 1);
        let mut found = None;
        let range = page..page + crate::ids::PAGE_SIZE as u64;
        self.core.space.update(user_range(&range), &mut |_, pte| {
            found = Some(pte.flags.contains(PageFlags::SPECIAL));
            None
        });
        match found {
            Some(false) => Ok(0),
            None if !vma.is_anonymous() => bail!(ENOENT, "the page is not there"),
            _ => bail!(EFAULT, "not a page of its own"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Errno;

    fn mask(word: u64) -> NodeMask {
        let mut mask = NodeMask::default();
        mask.0[0] = word;
        mask
    }

    #[test]
    fn modes_flags_and_nodes() {
        let shown = |mode, nodes| {
            let policy = MemPolicy::new(mode, mask(nodes)).unwrap();
            let policy = policy.as_deref();
            (MemPolicy::number(policy), MemPolicy::nodes(policy).0[0])
        };
        let refused = |mode, nodes| MemPolicy::new(mode, mask(nodes)).unwrap_err() == Errno::EINVAL;
        const STATIC: u32 = 1 << 15;
        const RELATIVE: u32 = 1 << 14;
        const BALANCE: u32 = 1 << 13;
        assert_eq!(shown(0, 0), (0, 0));
        assert_eq!(shown(1, 0), (4, 0));
        assert_eq!(shown(2, 7), (2, 1));
        assert_eq!(shown(2 | STATIC, 7), (2 | STATIC, 7));
        assert_eq!(shown(3 | RELATIVE, 0x20), (3 | RELATIVE, 0x20));
        assert_eq!(shown(2 | BALANCE, 1), (2 | BALANCE, 1));
        assert!(refused(0, 1) && refused(BALANCE, 0) && refused(6, 1));
        assert!(refused(2, 0) && refused(2, 2) && refused(2 | STATIC, 0x20));
        assert!(refused(3 | RELATIVE, 0) && refused(1 | STATIC, 0) && refused(4, 1));
        assert!(refused(2 | STATIC | RELATIVE, 1) && refused(1 | BALANCE, 1));
    }
}
