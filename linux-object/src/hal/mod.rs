//! The ports: all that the libraries ask of a machine.
//!
//! `kernel` implements them on x86-64, `sim` on the host. They are mechanism only; every decision
//! is taken above them.
//!
//! Rules that every implementation keeps:
//!
//! - Library code runs with interrupts off and is never preempted. Interrupts are taken in user
//!   mode, in [`Cpu::idle`] and in [`Cpu::poll_interrupts`]; their handlers run as ordinary thread
//!   context and may call the libraries.
//! - A port never calls back into the libraries while it holds a lock of its own, but for the
//!   closures it was given.
//! - Running out of memory is `ENOMEM`, never a panic.

mod address_space;
mod frames;
mod machine;
mod nic;
mod user;

pub use address_space::{AddressSpace, PageFlags, Pte};
pub use frames::{FrameStats, Frames};
pub use machine::{
    Clock, Console, Cpu, CpuInfo, Entropy, Entry, InterruptSource, MachineThread, Power, Switch, VdsoClock,
};
pub use nic::{Nic, Nics};
pub use user::{Access, Trap, UserClock, UserMemory, UserRegs};

use alloc::sync::Arc;

use crate::error::Result;

/// A whole machine.
pub trait Hal:
    Clock + Cpu + Switch + Frames + UserMemory + Console + Entropy + Nics + Power + Send + Sync + 'static
{
    /// An empty user address space (the kernel's half is shared by all).
    fn new_address_space(&self) -> Result<Arc<dyn AddressSpace>>;
}
