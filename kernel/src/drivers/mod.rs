//! Devices.

pub mod entropy;
pub mod pci;
pub mod power;
pub mod rtc;
pub mod uart;
pub mod virtio_net;
