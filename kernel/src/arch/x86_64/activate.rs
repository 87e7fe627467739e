//! Which address space this CPU uses.
//!
//! Invariant: a CPU's bit in `PageTables::cpus` is set before CR3 points to the tables and cleared
//! after it points elsewhere; the CPU keeps the tables alive meanwhile. Without a user address
//! space the CPU is on the kernel's own tables, so an idle CPU is never disturbed by shootdowns.

use alloc::sync::Arc;
use core::sync::atomic::Ordering::SeqCst;

use linux_object::hal::AddressSpace;
use x86_64::PhysAddr;
use x86_64::registers::control::{Cr3, Cr3Flags};
use x86_64::structures::paging::PhysFrame;

use super::address_space::PageTables;
use super::{kernel_map, percpu};

/// Makes `space` this CPU's address space; `None`: only the kernel's half.
pub fn activate(space: Option<&Arc<dyn AddressSpace>>) {
    let cpu = percpu::this();
    let tables = space.map(|space| {
        debug_assert!(
            space.as_any().is::<PageTables>(),
            "page tables of another machine"
        );
        // SAFETY: the kernel has one machine, whose `new_address_space` makes all handles.
        unsafe { &*Arc::as_ptr(space).cast::<PageTables>() }
    });
    let new = tables.map_or(core::ptr::null(), core::ptr::from_ref);
    let old = cpu.space.get();
    if core::ptr::eq(old, new) {
        return;
    }
    let bit = 1 << cpu.id.get();
    let root = match tables {
        Some(tables) => {
            tables.cpus.fetch_or(bit, SeqCst);
            tables.root_phys()
        }
        None => kernel_map::root_phys(),
    };
    // SAFETY: a complete table tree with the kernel's half, kept alive by `space_owner` below.
    unsafe {
        Cr3::write(
            PhysFrame::containing_address(PhysAddr::new_truncate(root)),
            Cr3Flags::empty(),
        );
    }
    // SAFETY: `space_owner` kept the old tables alive until here.
    if let Some(old) = unsafe { old.as_ref() } {
        old.cpus.fetch_and(!bit, SeqCst);
    }
    cpu.space.set(new);
    let previous = cpu.space_owner.replace(space.cloned());
    drop(previous);
}
