//! Terminals (`tty(4)`, `termios(3)`, `pty(7)`).

pub mod n_tty;
pub mod termios;

use alloc::sync::Arc;

use crate::hal::Hal;

/// A terminal.
pub struct Tty {}

impl Tty {
    /// Bytes came in from the device.
    pub fn receive(&self, _bytes: &[u8]) {}
}

/// All terminals of a kernel.
pub struct Ttys {
    /// The console.
    pub console: Arc<Tty>,
}

impl Ttys {
    /// The console over this machine's, and no pseudo-terminals.
    pub fn new(_hal: &Arc<dyn Hal>) -> Ttys {
        Ttys {
            console: Arc::new(Tty {}),
        }
    }
}
