//! Devices by number.
//!
//! A driver registers a range of numbers; opening a device node asks it for the behaviour of the
//! description. devtmpfs gets a node for each registered device that has a name.

use alloc::sync::Arc;
use alloc::vec::Vec;

use super::{DevT, FileOps, FileType, OpenFlags};
use crate::error::Result;
use crate::kernel::Kernel;
use crate::sync::{SpinLock, class};
use crate::task::Task;
use crate::{bail, ensure};

/// A driver of character devices.
pub trait CharDevice: Send + Sync {
    /// Opens one of its devices. `ENXIO` if this number has none.
    fn open(&self, task: &Arc<Task>, dev: DevT, flags: OpenFlags) -> Result<Arc<dyn FileOps>>;
}

struct Range {
    first: DevT,
    count: u32,
    device: Arc<dyn CharDevice>,
}

impl Range {
    fn contains(&self, dev: DevT) -> bool {
        let first = self.first.minor();
        dev.major() == self.first.major() && dev.minor() >= first && dev.minor() - first < self.count
    }
}

/// A node that devtmpfs shows.
#[derive(Clone)]
pub struct DeviceNode {
    /// Path below `/dev`.
    pub name: alloc::string::String,
    /// Character or block.
    pub file_type: FileType,
    /// Its number.
    pub dev: DevT,
    /// Permission bits.
    pub mode: u32,
}

/// The registered devices.
#[derive(Default)]
pub struct Devices {
    chrdevs: SpinLock<Vec<Range>, class::Leaf>,
    nodes: SpinLock<Vec<DeviceNode>, class::Leaf>,
}

/// Registers `count` minors from `first` on.
pub fn register_chrdev(kernel: &Kernel, first: DevT, count: u32, device: Arc<dyn CharDevice>) -> Result<()> {
    let mut chrdevs = kernel.vfs.devices.chrdevs.lock();
    let taken = chrdevs.iter().any(|range| {
        range.contains(first)
            || (Range {
                first,
                count,
                device: device.clone(),
            })
            .contains(range.first)
    });
    ensure!(!taken, EBUSY, "the device numbers are taken");
    chrdevs.push(Range { first, count, device });
    Ok(())
}

/// Gives a device a node in devtmpfs (`name` may contain slashes).
pub fn add_node(kernel: &Arc<Kernel>, name: &str, dev: DevT, mode: u32) -> Result<()> {
    let node = DeviceNode {
        name: name.into(),
        file_type: FileType::CharDevice,
        dev,
        mode,
    };
    kernel.vfs.devices.nodes.lock().push(node.clone());
    super::devtmpfs::node_added(kernel, &node)
}

/// The nodes registered so far.
pub fn nodes(kernel: &Kernel) -> Vec<DeviceNode> {
    kernel.vfs.devices.nodes.lock().clone()
}

/// Opens a character device by number; `ENXIO` if nobody registered it.
pub fn open_chrdev(task: &Arc<Task>, dev: DevT, flags: OpenFlags) -> Result<Arc<dyn FileOps>> {
    let device = {
        let chrdevs = task.kernel().vfs.devices.chrdevs.lock();
        chrdevs
            .iter()
            .find(|range| range.contains(dev))
            .map(|range| range.device.clone())
    };
    match device {
        Some(device) => device.open(task, dev, flags),
        None => bail!(ENXIO, "no such device"),
    }
}
