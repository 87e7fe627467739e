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
const CTRL_ATTR_VERSION: u16 = 3;
const CTRL_ATTR_HDRSIZE: u16 = 4;
const CTRL_ATTR_MAXATTR: u16 = 5;
const CTRL_ATTR_OPS: u16 = 6;
const CTRL_ATTR_MCAST_GROUPS: u16 = 7;
/// The controller's own version.
const VERSION: u32 = 2;
/// `GENL_CMD_CAP_*`: one is asked for, all are, and the attributes have a policy.
const DO: u32 = 2;
const DUMP: u32 = 4;
const HAS_POLICY: u32 = 8;
/// Names of families are shorter.
const GENL_NAMSIZ: usize = 16;
const COMMANDS: [(u8, u32); 1] = [(CTRL_CMD_GETFAMILY, DO | DUMP | HAS_POLICY)];

fn controller(header: &Header) -> Vec<u8> {
    let mut message = Builder::new(
        GENL_ID_CTRL,
        NlFlags::empty(),
        header.seq,
        header.pid,
        &[CTRL_CMD_NEWFAMILY, VERSION as u8, 0, 0],
    );
    message.string(CTRL_ATTR_FAMILY_NAME, "nlctrl");
    message.u16(CTRL_ATTR_FAMILY_ID, GENL_ID_CTRL);
    message
        .u32(CTRL_ATTR_VERSION, VERSION)
        .u32(CTRL_ATTR_HDRSIZE, 0)
        .u32(CTRL_ATTR_MAXATTR, 10);
    message.nest(CTRL_ATTR_OPS, |ops| {
        for (at, (command, flags)) in (1..).zip(COMMANDS) {
            ops.nest(at, |op| {
                op.u32(1, command.into()).u32(2, flags);
            });
        }
    });
    // Nobody ever comes or goes, so this group never hears anything.
    message.nest(CTRL_ATTR_MCAST_GROUPS, |groups| {
        groups.nest(1, |group| {
            group.u32(2, GENL_ID_CTRL.into()).string(1, "notify");
        });
    });
    message.finish()
}

/// A request.
pub fn request(header: &Header, payload: &[u8]) -> NlResult<Reply> {
    if header.kind != GENL_ID_CTRL {
        return Err(err!(ENOENT, "genl: there is no such family").into());
    }
    if payload.len() < 4 {
        return Err(err!(EINVAL, "genl: the header is too short").into());
    }
    if payload.first() != Some(&CTRL_CMD_GETFAMILY) {
        return Err(err!(EOPNOTSUPP, "genl: no such command").into());
    }
    if header.flags.contains(NlFlags::DUMP) {
        return Ok(Reply::Dump(alloc::vec![controller(header)]));
    }
    let attrs = Attrs::after(payload, 4)?;
    if let Some(name) = attrs.get(CTRL_ATTR_FAMILY_NAME) {
        let fits = name.iter().take(GENL_NAMSIZ).any(|&c| c == 0);
        if !fits {
            return Err(err!(EINVAL, "genl: the name does not end").into());
        }
    }
    if attrs.get(CTRL_ATTR_FAMILY_ID).is_some_and(|id| id.len() < 2) {
        return Err(err!(ERANGE, "genl: the number is too short").into());
    }
    let named = attrs.string(CTRL_ATTR_FAMILY_NAME).map(|name| name == b"nlctrl");
    let numbered = attrs
        .get(CTRL_ATTR_FAMILY_ID)
        .map(|id| id[..2] == GENL_ID_CTRL.to_ne_bytes());
    match named.or(numbered) {
        Some(true) => Ok(Reply::One(controller(header))),
        Some(false) => Err(err!(ENOENT, "genl: there is no such family").into()),
        None => Err(err!(EINVAL, "genl: which family?").into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Errno;

    fn ask(kind: u16, command: u8, attr: Option<(u16, &[u8])>) -> Result<Vec<u8>, Errno> {
        let mut message = Builder::new(kind, NlFlags::REQUEST, 1, 2, &[command, 1, 0, 0]);
        if let Some((kind, data)) = attr {
            message.attr(kind, data);
        }
        let bytes = message.finish();
        let (header, payload, _) = Header::split(&bytes).unwrap();
        match request(&header, payload) {
            Ok(Reply::One(message)) => Ok(message),
            Ok(_) => panic!("one message was asked for"),
            Err(error) => Err(error.error.errno()),
        }
    }

    #[test]
    fn the_controller_is_all_there_is() {
        let reply = ask(16, 3, Some((2, b"nlctrl\0"))).unwrap();
        let (header, payload, _) = Header::split(&reply).unwrap();
        assert_eq!((header.kind, payload[0], payload[1]), (16, 1, 2));
        let attrs = Attrs::after(payload, 4).unwrap();
        let op = attrs.nest(6).unwrap().unwrap().nest(1).unwrap().unwrap();
        assert_eq!((op.u32(1).unwrap(), op.u32(2).unwrap()), (Some(3), Some(14)));
        let group = attrs.nest(7).unwrap().unwrap().nest(1).unwrap().unwrap();
        assert_eq!(
            (group.string(1), group.u32(2).unwrap()),
            (Some(&b"notify"[..]), Some(16))
        );
        assert_eq!(ask(16, 3, Some((1, &[16, 0]))).unwrap(), reply);
        for (attr, errno) in [
            (None, Errno::EINVAL),
            (Some((2, &b"other\0"[..])), Errno::ENOENT),
            (Some((2, b"a_name_of_16_xxx\0")), Errno::EINVAL),
            (Some((1, &[1, 1])), Errno::ENOENT),
            (Some((1, &[1])), Errno::ERANGE),
        ] {
            assert_eq!(ask(16, 3, attr), Err(errno));
        }
        assert_eq!(ask(16, 99, None), Err(Errno::EOPNOTSUPP));
        assert_eq!(ask(1000, 1, None), Err(Errno::ENOENT));
    }
}
