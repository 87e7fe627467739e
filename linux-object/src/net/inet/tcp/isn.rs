//! The number that a connection begins with (RFC 6528): a clock that goes faster than any connection sends, from a
//! place that only this kernel knows for these ends. So the numbers of a connection are later than those of the last
//! one between the same ends, and nobody else can guess them.

use core::net::IpAddr;

use sha1::{Digest, Sha1};

use crate::net::stack::sockets::Ends;
use crate::time::Ktime;

/// Nanoseconds for one number: those of the first connection come again after 274 seconds.
const TICK: u64 = 64;

/// The first number of a connection that begins now.
pub(super) fn initial_sequence(key: &[u8; 16], ends: &Ends, now: Ktime) -> u32 {
    let mut hash = Sha1::new_with_prefix(key);
    for addr in [ends.local, ends.remote] {
        match addr {
            IpAddr::V4(addr) => hash.update(addr.octets()),
            IpAddr::V6(addr) => hash.update(addr.octets()),
        }
    }
    hash.update(ends.port.to_be_bytes());
    hash.update(ends.remote_port.to_be_bytes());
    let [a, b, c, d, ..] = hash.finalize().0;
    u32::from_be_bytes([a, b, c, d]).wrapping_add((now.as_nanos() / TICK) as u32)
}

// The generator of smoltcp's interface, and the inverse of its factor.
const FACTOR: u64 = 0xbb2efcec3c39611d;
const INVERSE: u64 = inverse(FACTOR);
const ADDED: u64 = 0x7590ef39;

const fn inverse(odd: u64) -> u64 {
    let mut found = odd;
    let mut n = 0;
    while n < 6 {
        found = found.wrapping_mul(2u64.wrapping_sub(odd.wrapping_mul(found)));
        n += 1;
    }
    found
}

/// The seed of a smoltcp interface whose connection begins with `isn`: the second number that is drawn, after the
/// interface's own. `noise` is random.
pub(super) fn seed(isn: u32, noise: u64) -> u64 {
    let mut noise = noise;
    loop {
        // Numbers are drawn from the state's bits 29 to 60 while those above are 0.
        let state = (isn as u64) << 29 | noise & ((1 << 29) - 1);
        let before = back(state);
        // The interface draws again if the sum of both halves is 0.
        if drawn(before) as u16 != (drawn(before) >> 16) as u16 {
            return back(before);
        }
        noise = noise.wrapping_add(1);
    }
}

fn back(state: u64) -> u64 {
    state.wrapping_sub(ADDED).wrapping_mul(INVERSE)
}

fn drawn(state: u64) -> u32 {
    (state >> (29 - (state >> 61))) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_advance_with_the_clock_and_differ_between_ends() {
        let ends = |port| Ends {
            local: IpAddr::from([10, 0, 0, 1]),
            port,
            remote: IpAddr::from([10, 0, 0, 2]),
            remote_port: 80,
        };
        let at = |port, ns| initial_sequence(&[7; 16], &ends(port), Ktime(ns));
        assert_eq!(at(1, 6400).wrapping_sub(at(1, 0)), 100);
        assert_ne!(at(1, 0), at(2, 0));
        assert_ne!(at(1, 0), initial_sequence(&[8; 16], &ends(1), Ktime(0)));
    }
}
