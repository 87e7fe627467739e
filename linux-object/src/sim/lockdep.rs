//! The lock order, checked for each host thread; and the hooks that give the simulator its turns.

use std::cell::RefCell;
use std::vec::Vec;

use super::machine;
use crate::sync::hooks::{self, Hooks};

std::thread_local! {
    static HELD: RefCell<Vec<(u8, &'static str)>> = const { RefCell::new(Vec::new()) };
}

/// Installs the hooks for this host process; they do nothing on threads that are not simulated.
pub fn install() {
    hooks::install(Hooks {
        relax: || {
            if !machine::yield_here(true) {
                std::thread::yield_now();
            }
        },
        acquire,
        release,
    });
}

fn acquire(rank: u8, name: &'static str, nested: bool) {
    if !machine::is_simulated() {
        return;
    }
    HELD.with_borrow_mut(|held| {
        if let Some((last, last_name)) = held.iter().max()
            && (*last > rank || *last == rank && !nested)
            && !std::thread::panicking()
        {
            panic!("lock order: {name} is taken while {last_name} is held");
        }
        held.push((rank, name));
    });
    machine::yield_here(false);
}

fn release(rank: u8) {
    HELD.with_borrow_mut(|held| {
        if let Some(at) = held.iter().rposition(|(other, _)| *other == rank) {
            held.remove(at);
        }
    });
}

/// Panics if this thread holds a lock.
pub fn assert_none(what: &str) {
    HELD.with_borrow(|held| {
        assert!(
            held.is_empty() || std::thread::panicking(),
            "{what} with locks held: {held:?}"
        );
    });
}
