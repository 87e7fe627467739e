//! Network cards.

use alloc::sync::Arc;
use alloc::vec::Vec;

/// A network card. News of it come through [`NetShared::poll_nics`] and [`NetShared::nics_link`].
///
/// [`NetShared::poll_nics`]: crate::net::stack::NetShared::poll_nics
/// [`NetShared::nics_link`]: crate::net::stack::NetShared::nics_link
pub trait Nic: Send + Sync {
    /// The address that it was made with.
    fn mac(&self) -> [u8; 6];
    /// Longest packet without its Ethernet header, in bytes.
    fn max_mtu(&self) -> u32;
    /// Its parent's path below `/sys/devices`; the last two parts are the device's and the one of its driver's bus.
    fn path(&self) -> &str;
    /// Whether it is connected.
    fn link(&self) -> bool;
    /// Sends an Ethernet frame; whether there was room for it.
    fn send(&self, frame: &[u8]) -> bool;
    /// Takes the next frame that came in. False: there is none, and the next one will be told of.
    fn receive(&self, take: &mut dyn FnMut(&[u8])) -> bool;
}

/// The network cards of a machine.
pub trait Nics {
    /// All of them, in the order of their names.
    fn nics(&self) -> Vec<Arc<dyn Nic>> {
        Vec::new()
    }
}
