//! Generic netlink: there are no families but the controller itself.

use alloc::vec::Vec;

use super::message::{Attrs, Builder, Header, NlFlags};
use super::{NlResult, Reply};
use crate::err;

const GENL_ID_CTRL: u16 = 16;
const CTRL_CMD_NEWFAMILY: u8 = 1;
const CTRL_CMD_GETFAMILY: u8 = 3;
const CTRL_ATTR_FAMILY_ID: u16 = 1;
const CTRL_ATTR_FAMILY_NAME: u16 = 2;

fn controller(header: &Header) -> Vec<u8> {
    let mut message = Builder::new(
        GENL_ID_CTRL,
        NlFlags::empty(),
        header.seq,
        header.pid,
        &[CTRL_CMD_NEWFAMILY, 2, 0, 0],
    );
    message.string(CTRL_ATTR_FAMILY_NAME, "nlctrl");
    message.u16(CTRL_ATTR_FAMILY_ID, GENL_ID_CTRL);
    message.u32(3, 2).u32(4, 0).u32(5, 10);
    message.finish()
}

/// A request.
pub fn request(header: &Header, payload: &[u8]) -> NlResult<Reply> {
    if header.kind != GENL_ID_CTRL {
        return Err(err!(ENOENT, "genl: there is no such family").into());
    }
    if payload.first() != Some(&CTRL_CMD_GETFAMILY) {
        return Err(err!(EOPNOTSUPP, "genl: no such command").into());
    }
    if header.flags.contains(NlFlags::DUMP) {
        return Ok(Reply::Dump(alloc::vec![controller(header)]));
    }
    let attrs = Attrs::after(payload, 4)?;
    let named = attrs.string(CTRL_ATTR_FAMILY_NAME).map(|name| name == b"nlctrl");
    let numbered = attrs
        .get(CTRL_ATTR_FAMILY_ID)
        .map(|id| id == GENL_ID_CTRL.to_ne_bytes());
    match named.or(numbered) {
        Some(true) => Ok(Reply::One(controller(header))),
        Some(false) => Err(err!(ENOENT, "genl: there is no such family").into()),
        None => Err(err!(EINVAL, "genl: which family?").into()),
    }
}
