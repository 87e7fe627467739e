//! Sockets.

pub mod unix;
