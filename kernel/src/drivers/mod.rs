//! Devices.

pub mod entropy;
pub mod power;
pub mod rtc;
pub mod uart;
