//! Socket statistics (`sock_diag(7)`), what `ss` shows.

use alloc::sync::Arc;

use super::message::Header;
use super::{NetlinkSocket, NlResult, Reply};
use crate::err;
use crate::task::Task;

/// `SOCK_DIAG_BY_FAMILY`.
const SOCK_DIAG_BY_FAMILY: u16 = 20;

/// A request.
pub fn request(_: &NetlinkSocket, _: &Arc<Task>, header: &Header, payload: &[u8]) -> NlResult<Reply> {
    if header.kind != SOCK_DIAG_BY_FAMILY {
        return Err(err!(EINVAL, "sock_diag: no such request").into());
    }
    if payload.len() < 2 {
        return Err(err!(EINVAL, "sock_diag: too short").into());
    }
    Err(err!(ENOENT, "sock_diag: no handler of this family").into())
}
