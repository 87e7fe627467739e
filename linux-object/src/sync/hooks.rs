//! What the runner of the libraries may hang into the locks.
//!
//! Set once, before the first lock is contended: by the `kernel` binary (serve shootdowns while
//! spinning, keep the held locks per CPU in debug builds) and by the simulator (choose who runs).

use spin::Once;

/// The hooks.
#[derive(Clone, Copy)]
pub struct Hooks {
    /// Called in every turn of a spinning loop.
    pub relax: fn(),
    /// Called before a lock of this rank is taken; `nested` tells that another of the same class
    /// may be held. Checks the order.
    pub acquire: fn(rank: u8, name: &'static str, nested: bool),
    /// Called after a lock of this rank was released.
    pub release: fn(rank: u8),
}

static HOOKS: Once<Hooks> = Once::new();

/// Installs the hooks; later calls change nothing.
pub fn install(hooks: Hooks) {
    HOOKS.call_once(|| hooks);
}

#[inline]
pub(crate) fn relax() {
    match HOOKS.get() {
        Some(hooks) => (hooks.relax)(),
        None => core::hint::spin_loop(),
    }
}

/// Whether lock order is checked in this build.
pub const CHECKED: bool = cfg!(any(debug_assertions, feature = "sim"));

#[inline]
pub(super) fn acquire(rank: u8, name: &'static str, nested: bool) {
    if CHECKED && let Some(hooks) = HOOKS.get() {
        (hooks.acquire)(rank, name, nested);
    }
}

#[inline]
pub(super) fn release(rank: u8) {
    if CHECKED && let Some(hooks) = HOOKS.get() {
        (hooks.release)(rank);
    }
}
