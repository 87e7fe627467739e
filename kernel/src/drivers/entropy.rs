//! Randomness: the CPU's generator if there is one, always mixed with what timing and the battery
//! clock give. The libraries' generator does the rest.

use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::arch::features::{self, rdtsc};

static POOL: AtomicU64 = AtomicU64::new(0x9e37_79b9_7f4a_7c15);

/// Adds what is hard to guess.
pub fn stir(value: u64) {
    let mixed = mix(POOL.load(Relaxed) ^ value.rotate_left(32) ^ rdtsc());
    POOL.store(mixed, Relaxed);
}

/// SplitMix64's finaliser (Steele, Lea and Flood 2014).
fn mix(mut x: u64) -> u64 {
    x = (x ^ x >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ x >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ x >> 31
}

fn hardware() -> Option<u64> {
    let f = features::get();
    for _ in 0..10 {
        let (value, ok): (u64, u8);
        // SAFETY: the instruction exists, and only writes registers and flags.
        unsafe {
            if f.rdseed {
                core::arch::asm!("rdseed {}", "setc {}", out(reg) value, out(reg_byte) ok, options(nomem, nostack));
            } else if f.rdrand {
                core::arch::asm!("rdrand {}", "setc {}", out(reg) value, out(reg_byte) ok, options(nomem, nostack));
            } else {
                return None;
            }
        }
        if ok != 0 {
            return Some(value);
        }
    }
    None
}

/// How long a few memory accesses take, over and over: the low bits vary.
fn jitter() -> u64 {
    let mut sum = 0u64;
    for _ in 0..64 {
        let before = rdtsc();
        POOL.fetch_add(before | 1, Relaxed);
        sum = sum.rotate_left(1) ^ rdtsc().wrapping_sub(before);
    }
    mix(sum)
}

/// Fills with the best randomness there is.
pub fn fill(out: &mut [u8]) {
    for chunk in out.chunks_mut(8) {
        let word = hardware().unwrap_or_else(jitter);
        stir(word);
        let word = mix(word ^ POOL.load(Relaxed));
        chunk.copy_from_slice(&word.to_le_bytes()[..chunk.len()]);
    }
}
