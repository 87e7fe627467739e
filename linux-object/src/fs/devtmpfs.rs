//! devtmpfs: a tmpfs with a node for each registered device.

use alloc::sync::Arc;

use super::device::DeviceNode;
use crate::error::Result;
use crate::kernel::Kernel;

/// A device got a name: its node appears if devtmpfs exists already.
pub(super) fn node_added(_kernel: &Arc<Kernel>, _node: &DeviceNode) -> Result<()> {
    Ok(())
}
