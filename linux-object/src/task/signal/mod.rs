//! Signals (`signal(7)`).
//!
//! Model: a signal is *sent* to a task or to a process, is *pending* in a queue of one or the other
//! ([`queue`]) and is *taken* by a thread that does not block it ([`dequeue`]) and then acts as
//! [`action`] says. Sending ([`send`]) already decides that an ignored signal goes nowhere,
//! that a stop signal and SIGCONT cancel each other, and that a fatal one ends the whole process.
//!
//! Locks: the queues of a process and its threads change under the process's `SigHand` lock; a
//! thread's own queue has a lock below it. Sets of pending and blocked signals are mirrored in
//! atomics: who sends first publishes the signal, then reads what the target blocks; who changes what it blocks
//! first publishes that, then looks for pending signals. One of the two sees the other.

pub mod action;
mod dequeue;
mod freeze;
mod permission;
mod queue;
mod send;
mod stop;
mod task_signals;
mod types;

pub use action::{DefaultAction, SIG_DFL, SIG_IGN, SaFlags, SigAction, SigHand, default_action};
pub use dequeue::Verdict;
pub use permission::check_kill_permission;
pub use queue::{Queued, SigCharge, SigQueue, TimerSignal};
pub(in crate::task) use send::send_to_task_locked;
pub use send::{
    force_fault, force_fault_exit, kill_everyone, send_timer, send_to_group, send_to_pgrp, send_to_task,
    user_kill, user_kill_pgrp, user_tkill,
};
pub use stop::StopVerdict;
pub(in crate::task) use task_signals::jobctl;
pub use task_signals::{AltStack, AltStackFlags, TaskSignals};
pub use types::{SigInfo, SigInfoFields, Signal, SignalSet, si_code};
