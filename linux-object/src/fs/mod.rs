//! Files.
#[allow(missing_docs)]
mod poll;
pub use poll::PollEvents;
