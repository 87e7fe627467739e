//! Instances that watch instances: no circles, and not too deep.

use alloc::sync::Arc;
use alloc::vec::Vec;

use super::Epoll;
use crate::bail;
use crate::error::Result;
use crate::fs::OpenFile;

/// Levels of instances that may stand above a file.
const MAX_LEVELS: usize = 5;

/// Checks that `target` may be added to `epoll`, whose file is `own`. `ELOOP`: it watches `epoll`
/// already, or nests too deep by itself; `EINVAL`: it would with what is above.
pub(super) fn check_nesting(epoll: &Epoll, own: &Arc<OpenFile>, target: &Epoll) -> Result<()> {
    let below = levels_below(target, epoll, 1)?;
    if below + levels_above(own, 1) > MAX_LEVELS {
        bail!(EINVAL, "the instances are nested too deep");
    }
    Ok(())
}

fn levels_below(at: &Epoll, inserting: &Epoll, level: usize) -> Result<usize> {
    if core::ptr::eq(at, inserting) {
        bail!(ELOOP, "the instances would watch each other in a circle");
    }
    if level > MAX_LEVELS {
        bail!(ELOOP, "the instances are nested too deep");
    }
    let files: Vec<_> = {
        let items = at.items.lock_nested();
        items.values().filter_map(|(item, _)| item.file()).collect()
    };
    let mut deepest = level;
    for file in &files {
        if let Some(nested) = Epoll::of(file) {
            deepest = deepest.max(levels_below(nested, inserting, level + 1)?);
        }
    }
    Ok(deepest)
}

fn levels_above(file: &Arc<OpenFile>, level: usize) -> usize {
    if level > MAX_LEVELS {
        return level;
    }
    let mut highest = level;
    for item in file.epoll.items() {
        let Some(above) = item.epoll.upgrade() else {
            continue;
        };
        if let Some(file) = above.own_file() {
            highest = highest.max(levels_above(&file, level + 1));
        }
    }
    highest
}
