//! What the machine tells the libraries, besides what a port call returns.

use linux_object::error::Result;
use linux_object::hal::Access;
use linux_object::ids::UserAddr;
use linux_object::time::Ktime;

/// Receiver of the machine's events. All run in thread context with interrupts off.
pub trait Upcalls: Sync {
    /// This CPU's timer reached its deadline.
    fn timer_interrupt(&self);
    /// Another CPU asked this one to look at its run queue.
    fn kick_interrupt(&self);
    /// Bytes came in on the console.
    fn console_input(&self, bytes: &[u8]);
    /// Frames came in on a network card, or it can send again.
    fn nic_interrupt(&self);
    /// A network card's link came or went.
    fn nic_link_interrupt(&self);
    /// The kernel touched user memory that is not there. On an error the copy fails.
    fn user_fault(&self, addr: UserAddr, access: Access, present: bool) -> Result<()>;
    /// A kernel message of Linux's severity 0 to 7, for the log that user space can read. Returns
    /// whether the console should show it.
    fn log(&self, at: Ktime, level: u8, text: &[u8]) -> bool;
}

static UPCALLS: spin::Once<&'static dyn Upcalls> = spin::Once::new();

/// Installs the receiver, once.
pub fn install(upcalls: &'static dyn Upcalls) {
    UPCALLS.call_once(|| upcalls);
}

/// The receiver, once there is one.
#[inline]
pub fn get() -> Option<&'static dyn Upcalls> {
    UPCALLS.get().copied()
}
