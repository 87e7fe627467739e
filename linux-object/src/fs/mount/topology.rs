//! The shape of all mount trees.

use super::Propagation;

/// What the topology lock protects; functions that change mount trees take it as a token.
#[derive(Default)]
pub struct MountTopology {
    pub(super) propagation: Propagation,
}
