//! Random numbers (`random(7)`): a ChaCha20 generator, seeded by the machine.
//!
//! The key is replaced after every request, so what was handed out cannot be computed from a later
//! state (backtracking resistance).

use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

use crate::hal::Hal;
use crate::sync::{SpinLock, class};

/// The generator of a kernel.
pub struct Rng {
    inner: SpinLock<ChaCha20Rng, class::Leaf>,
}

impl Rng {
    /// A generator seeded from the machine.
    pub fn new(hal: &dyn Hal) -> Rng {
        let mut seed = [0; 32];
        hal.entropy(&mut seed);
        Rng {
            inner: SpinLock::new(ChaCha20Rng::from_seed(seed)),
        }
    }

    /// Fills with random bytes.
    pub fn fill(&self, out: &mut [u8]) {
        let mut inner = self.inner.lock();
        inner.fill_bytes(out);
        let mut key = [0; 32];
        inner.fill_bytes(&mut key);
        *inner = ChaCha20Rng::from_seed(key);
    }

    /// A random number.
    pub fn next_u64(&self) -> u64 {
        self.inner.lock().next_u64()
    }

    /// Mixes in bytes that someone wrote to `/dev/random`.
    pub fn mix(&self, data: &[u8]) {
        let mut inner = self.inner.lock();
        let mut key = [0; 32];
        inner.fill_bytes(&mut key);
        for (at, byte) in data.iter().enumerate() {
            key[at % 32] = key[at % 32].rotate_left(3) ^ byte;
            if at % 32 == 31 {
                let mut mixed = ChaCha20Rng::from_seed(key);
                mixed.fill_bytes(&mut key);
            }
        }
        *inner = ChaCha20Rng::from_seed(key);
    }
}
