//! Policy rules: the three that every namespace has. Others cannot be made.

use alloc::vec::Vec;

use super::super::message::{Builder, NlFlags};
use super::super::{NlResult, Reply};
use super::{Cx, family, rtm};
use crate::err;
use crate::net::stack::route::{protocol, table};

const FRA_PRIORITY: u16 = 6;
const FRA_SUPPRESS_PREFIXLEN: u16 = 14;
const FRA_TABLE: u16 = 15;
const FRA_PROTOCOL: u16 = 21;
const FR_ACT_TO_TBL: u8 = 1;

/// `RTM_GETRULE`: only as a dump.
pub fn get(cx: &Cx<'_>, payload: &[u8]) -> NlResult<Reply> {
    if !cx.is_dump() {
        return Err(err!(EOPNOTSUPP, "rtnetlink: rules are dumped").into());
    }
    let mut messages = Vec::new();
    for family in [family::INET, family::INET6] {
        if payload[0] != family::UNSPEC && payload[0] != family {
            continue;
        }
        for (priority, table) in [(0, table::LOCAL), (32766, table::MAIN), (32767, table::DEFAULT)] {
            // IPv6 has no table `default` among its rules.
            if family == family::INET6 && table == table::DEFAULT {
                continue;
            }
            let head = [family, 0, 0, 0, table as u8, 0, 0, FR_ACT_TO_TBL, 0, 0, 0, 0];
            let mut message = Builder::new(
                rtm::NEWRULE,
                NlFlags::empty(),
                cx.header.seq,
                cx.header.pid,
                &head,
            );
            message
                .u32(FRA_TABLE, table)
                .u32(FRA_SUPPRESS_PREFIXLEN, u32::MAX);
            message.u8(FRA_PROTOCOL, protocol::KERNEL);
            if priority != 0 {
                message.u32(FRA_PRIORITY, priority);
            }
            messages.push(message.finish());
        }
    }
    Ok(Reply::Dump(messages))
}
