//! TCP sockets (`tcp(7)`).
//!
//! The state machine is smoltcp's. Each connection has an `Engine` of its own: an interface over a queue
//! and a set of one socket, so that what a segment costs does not depend on how many connections there are.
//! Which connection a segment is for is found by its four numbers in the namespace's table.
//! A listening socket is only a queue: a first segment makes a child with an engine, which `accept` takes
//! when its handshake is over.
//!
//! The table holds connections strongly: what is closed by its program lives on until the other side knows. What waits
//! only for strays is a record without an engine ([`timewait`]).
//! The namespace is held as long as something is still to be sent.

mod connect;
mod disconnect;
mod drive;
mod engine;
mod info;
mod isn;
mod keepalive;
mod listen;
mod options;
mod socket;
mod stats;
mod stream;
mod timewait;
mod urgent;

pub use socket::TcpSocket;
