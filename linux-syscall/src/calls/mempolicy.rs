//! System calls: memory policy (`set_mempolicy(2)`, `get_mempolicy(2)`, `mbind(2)`, `migrate_pages(2)`,
//! `move_pages(2)`).

use alloc::sync::Arc;
use core::ops::Range;

use linux_object::cred::Capability;
use linux_object::error::Result;
use linux_object::fs::procfs::access::{PtraceMode, ptrace_may_access};
use linux_object::ids::{PAGE_SIZE, PidNr, UserAddr};
use linux_object::mm::{MAX_NODES, MemPolicy, Mm, NodeMask};
use linux_object::{bail, ensure, err};

use crate::context::Cx;
use crate::user_ptr::{UserInPtr, UserOutPtr};

const MPOL_F_NODE: u64 = 1;
const MPOL_F_ADDR: u64 = 2;
const MPOL_F_MEMS_ALLOWED: u64 = 4;

const MPOL_MF_STRICT: u32 = 1;
const MPOL_MF_MOVE: u32 = 2;
const MPOL_MF_MOVE_ALL: u32 = 4;

/// `MPOL_DEFAULT` with any flags.
const MODE: u32 = 0x1fff;

/// Bits that a mask in user space may have at all.
const MAX_BITS: u64 = PAGE_SIZE as u64 * 8;

/// A mask of `maxnode - 1` bits (Linux's `get_nodes`). `EFAULT`, `EINVAL` for nodes that no mask has room for.
fn read_nodes(cx: &Cx<'_>, mask: UserInPtr<u64>, maxnode: u64) -> Result<NodeMask> {
    let bits = maxnode.wrapping_sub(1);
    let mut nodes = NodeMask::default();
    if bits == 0 || mask.is_null() {
        return Ok(nodes);
    }
    ensure!(bits <= MAX_BITS, EINVAL, "more nodes than a page has bits");
    // From the end, as Linux looks.
    for word in (0..bits.div_ceil(64)).rev() {
        let mut value = mask.at(word as usize).read(cx)?;
        let used = bits - word * 64;
        if used < 64 {
            value &= (1 << used) - 1;
        }
        match nodes.0.get_mut(word as usize) {
            Some(slot) => *slot = value,
            None => ensure!(value == 0, EINVAL, "a node beyond all nodes"),
        }
    }
    Ok(nodes)
}

/// A mask in a buffer of `maxnode` bits (Linux's `copy_nodes_to_user`): one word, and zeroes.
fn write_nodes(cx: &Cx<'_>, mask: UserOutPtr<u64>, maxnode: u64, nodes: &NodeMask) -> Result<()> {
    let words = (maxnode - 1).div_ceil(64) as usize;
    ensure!(
        words <= 1 || words * 8 <= PAGE_SIZE,
        EINVAL,
        "more nodes than a page has bits"
    );
    for word in 0..words {
        let value = if word == 0 { nodes.0[0] } else { 0 };
        mask.at(word).write(cx, &value)?;
    }
    Ok(())
}

/// `set_mempolicy(2)`.
pub fn set_mempolicy(cx: &mut Cx<'_>, mode: u32, nodemask: UserInPtr<u64>, maxnode: u64) -> Result<usize> {
    check_mode(mode)?;
    let nodes = read_nodes(cx, nodemask, maxnode)?;
    let policy = MemPolicy::new(mode, nodes)?;
    let old = core::mem::replace(&mut *cx.task.mempolicy.lock(), policy);
    drop(old);
    Ok(0)
}

/// What is wrong with the mode alone is said before the mask is looked at.
fn check_mode(mode: u32) -> Result<()> {
    match mode & MODE {
        0 | 4 => MemPolicy::new(mode & !MPOL_FIXED, NodeMask::default()).map(drop),
        _ => MemPolicy::new(mode, NodeMask::ONLINE).map(drop),
    }
}

/// Static and relative nodes.
const MPOL_FIXED: u32 = 3 << 14;

/// `get_mempolicy(2)`.
pub fn get_mempolicy(
    cx: &mut Cx<'_>,
    mode: UserOutPtr<u32>,
    nodemask: UserOutPtr<u64>,
    maxnode: u64,
    addr: UserAddr,
    flags: u64,
) -> Result<usize> {
    ensure!(
        nodemask.is_null() || maxnode >= 1,
        EINVAL,
        "get_mempolicy: no room for the nodes"
    );
    ensure!(flags & !7 == 0, EINVAL, "get_mempolicy: unknown flags");
    let at_addr = flags & MPOL_F_ADDR != 0;
    let (number, nodes) = if flags & MPOL_F_MEMS_ALLOWED != 0 {
        let alone = flags == MPOL_F_MEMS_ALLOWED;
        ensure!(alone, EINVAL, "get_mempolicy: MPOL_F_MEMS_ALLOWED stands alone");
        (0, NodeMask::ONLINE)
    } else {
        let policy = if at_addr {
            cx.task.mm().policy_at(addr.0)?
        } else {
            ensure!(
                addr.is_null(),
                EINVAL,
                "get_mempolicy: an address without MPOL_F_ADDR"
            );
            cx.task.mempolicy.lock().clone()
        };
        let policy = policy.as_deref();
        let number = match (flags & MPOL_F_NODE != 0, at_addr) {
            (false, _) => MemPolicy::number(policy),
            // The node of the page, which is brought in.
            (true, true) => UserInPtr::<u8>::new(addr).read(cx).map(|_| 0)?,
            (true, false) => {
                let in_turn = policy.is_some_and(MemPolicy::is_interleave);
                ensure!(in_turn, EINVAL, "get_mempolicy: the policy has no next node");
                0
            }
        };
        (number, MemPolicy::nodes(policy))
    };
    mode.write_opt(cx, &number)?;
    if !nodemask.is_null() {
        write_nodes(cx, nodemask, maxnode, &nodes)?;
    }
    Ok(0)
}

/// The pages of a range. `EINVAL` if it does not begin at one, or ends beyond all addresses.
fn pages(start: u64, len: u64) -> Result<Range<u64>> {
    const PAGE: u64 = PAGE_SIZE as u64;
    ensure!(
        start.is_multiple_of(PAGE),
        EINVAL,
        "the address is not page-aligned"
    );
    let len = len.wrapping_add(PAGE - 1) & !(PAGE - 1);
    match start.checked_add(len) {
        Some(end) => Ok(start..end),
        None => bail!(EINVAL, "beyond all addresses"),
    }
}

/// `mbind(2)`.
pub fn mbind(
    cx: &mut Cx<'_>,
    addr: UserAddr,
    len: u64,
    mode: u32,
    nodemask: UserInPtr<u64>,
    maxnode: u64,
    flags: u32,
) -> Result<usize> {
    check_mode(mode)?;
    let nodes = read_nodes(cx, nodemask, maxnode)?;
    let moves = MPOL_MF_MOVE | MPOL_MF_MOVE_ALL;
    ensure!(
        flags & !(MPOL_MF_STRICT | moves) == 0,
        EINVAL,
        "mbind: unknown flags"
    );
    let nice = cx.task.cred().capable(Capability::SYS_NICE);
    ensure!(
        flags & MPOL_MF_MOVE_ALL == 0 || nice,
        EPERM,
        "MPOL_MF_MOVE_ALL: no CAP_SYS_NICE"
    );
    let range = pages(addr.0, len)?;
    if range.is_empty() {
        return Ok(0);
    }
    let policy = MemPolicy::new(mode, nodes)?;
    // Moving a page brings it to the only node, which is where it should be.
    let exact = flags & (MPOL_MF_STRICT | moves) == MPOL_MF_STRICT && policy.is_some() && !nodes.has_online();
    cx.task.mm().bind_policy(range, policy, exact)?;
    Ok(0)
}

/// `set_mempolicy_home_node(2)`.
pub fn set_mempolicy_home_node(
    cx: &mut Cx<'_>,
    start: UserAddr,
    len: u64,
    home_node: u64,
    flags: u64,
) -> Result<usize> {
    let range = pages(start.0, len)?;
    ensure!(flags == 0, EINVAL, "set_mempolicy_home_node: unknown flags");
    ensure!(home_node == 0, EINVAL, "set_mempolicy_home_node: no such node");
    if !range.is_empty() {
        cx.task.mm().set_home_node(range, 0)?;
    }
    Ok(0)
}

/// The memory of a process that the caller may look into. `ESRCH`, `EPERM`, `EINVAL` if it has none.
fn memory_of(cx: &Cx<'_>, pid: i32, look: impl FnOnce() -> Result<()>) -> Result<Arc<Mm>> {
    let task = match pid {
        0 => cx.task.clone(),
        pid => {
            let found = cx.kernel.tasks.find_task(cx.task.pid_ns(), PidNr(pid));
            found.ok_or(err!(ESRCH, "no such process"))?
        }
    };
    ptrace_may_access(cx.task, &task, PtraceMode::READ_REALCREDS)
        .map_err(|_| err!(EPERM, "the caller may not look into the process"))?;
    look()?;
    task.try_mm().ok_or(err!(EINVAL, "the process has no memory"))
}

/// `migrate_pages(2)`: all pages are where they can be.
pub fn migrate_pages(
    cx: &mut Cx<'_>,
    pid: i32,
    maxnode: u64,
    old_nodes: UserInPtr<u64>,
    new_nodes: UserInPtr<u64>,
) -> Result<usize> {
    read_nodes(cx, old_nodes, maxnode)?;
    let new = read_nodes(cx, new_nodes, maxnode)?;
    let nice = cx.task.cred().capable(Capability::SYS_NICE);
    memory_of(cx, pid, || {
        ensure!(
            new.is_online() || nice,
            EPERM,
            "migrate_pages: nodes that are not allowed"
        );
        ensure!(
            new.has_online(),
            EINVAL,
            "migrate_pages: none of the nodes is there"
        );
        Ok(())
    })?;
    Ok(0)
}

/// `move_pages(2)`: tells where pages are, which is where they can be.
pub fn move_pages(
    cx: &mut Cx<'_>,
    pid: i32,
    count: u64,
    pages: UserInPtr<u64>,
    nodes: UserInPtr<i32>,
    status: UserOutPtr<i32>,
    flags: u32,
) -> Result<usize> {
    let moves = MPOL_MF_MOVE | MPOL_MF_MOVE_ALL;
    ensure!(flags & !moves == 0, EINVAL, "move_pages: unknown flags");
    let nice = cx.task.cred().capable(Capability::SYS_NICE);
    ensure!(
        flags & MPOL_MF_MOVE_ALL == 0 || nice,
        EPERM,
        "MPOL_MF_MOVE_ALL: no CAP_SYS_NICE"
    );
    let mm = memory_of(cx, pid, || Ok(()))?;
    for n in 0..count as usize {
        let addr = pages.at(n).read(cx)?;
        if !nodes.is_null() {
            let node = nodes.at(n).read(cx)?;
            ensure!(
                (0..MAX_NODES as i32).contains(&node) && node == 0,
                ENODEV,
                "move_pages: no such node"
            );
        }
        let found = match mm.node_of_page(addr) {
            Ok(node) => node as i32,
            Err(error) => -(error.errno() as i32),
        };
        status.at(n).write(cx, &found)?;
        if n % 1024 == 1023 {
            ensure!(
                !cx.task.fatal_signal_pending(),
                EINTR,
                "move_pages: the caller is being killed"
            );
            cx.kernel.sched.cond_resched(cx.task);
        }
    }
    Ok(0)
}
