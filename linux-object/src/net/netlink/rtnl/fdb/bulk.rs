//! Removes many entries of a forwarding database at once (`RTM_DELNEIGH` with `NLM_F_BULK`; `bridge fdb flush`).
//!
//! This kind of request is checked more strictly than older ones: what is not understood is refused.

use super::super::super::message::{Attrs, u16_at, u32_at};
use super::super::super::{NlResult, Reply};
use super::{Cx, HEAD, NDA_IFINDEX, NDA_VLAN, Ndmsg, Ntf, NudSet, is_bridge, nobody, vlan_in};
use crate::net::stack::{FdbFlags, FdbFlush, Net, OWN};
use crate::nl_err;

const NDA_NDM_STATE_MASK: u16 = 16;
const NDA_NDM_FLAGS_MASK: u16 = 17;
const NDA_MAX: u16 = 17;

fn of_state(state: NudSet) -> FdbFlags {
    let mut flags = FdbFlags::empty();
    flags.set(FdbFlags::LOCAL, state.contains(NudSet::PERMANENT));
    flags.set(FdbFlags::STATIC, state.contains(NudSet::NOARP));
    flags
}

/// What hardware forwards has a flag that no entry has here.
fn of_flags(ntf: Ntf) -> FdbFlags {
    let mut flags = FdbFlags::empty();
    flags.set(FdbFlags::ADDED_BY_USER, ntf.contains(Ntf::USE));
    flags.set(FdbFlags::EXT_LEARN, ntf.contains(Ntf::EXT_LEARNED));
    flags.set(FdbFlags::OFFLOADED, ntf.contains(Ntf::OFFLOADED));
    flags.set(FdbFlags::STICKY, ntf.contains(Ntf::STICKY));
    flags
}

/// Refuses what the request does not have, or not so.
fn check(attrs: Attrs<'_>) -> NlResult<()> {
    for (attr, value) in attrs.iter() {
        let len = match attr {
            NDA_VLAN | NDA_NDM_STATE_MASK => 2,
            NDA_IFINDEX => 4,
            NDA_NDM_FLAGS_MASK => 1,
            1..=NDA_MAX => return Err(nl_err!(EINVAL, "Unsupported attribute")),
            _ => return Err(nl_err!(EINVAL, "Unknown attribute type")),
        };
        if value.len() != len {
            return Err(nl_err!(EINVAL, "invalid attribute length"));
        }
        if attr == NDA_IFINDEX && (u32_at(value, 0) as i32) < 1 {
            return Err(nl_err!(ERANGE, "integer out of range"));
        }
    }
    match attrs.leftover() {
        0 => Ok(()),
        _ => Err(nl_err!(EINVAL, "bytes leftover after parsing attributes")),
    }
}

/// The port that is flushed: what the attribute names is a port of this bridge, or the bridge.
fn port_in(net: &Net<'_>, bridge: u32, attrs: Attrs<'_>) -> NlResult<Option<u32>> {
    let Some(ifindex) = attrs.u32(NDA_IFINDEX)? else {
        return Ok(None);
    };
    let Some(dev) = net.device(ifindex) else {
        return Err(nl_err!(ENODEV, "bridge: Unknown flush device ifindex"));
    };
    match &dev.port {
        _ if is_bridge(dev) && ifindex == bridge => Ok(Some(OWN)),
        _ if is_bridge(dev) => Err(nl_err!(
            EINVAL,
            "bridge: Flush bridge device does not match target bridge device"
        )),
        Some(port) if port.bridge == bridge => Ok(Some(ifindex)),
        Some(_) => Err(nl_err!(
            EINVAL,
            "bridge: Port belongs to a different bridge device"
        )),
        None => Err(nl_err!(
            EINVAL,
            "bridge: Flush device is not a bridge or bridge port"
        )),
    }
}

fn flush(net: &mut Net<'_>, bridge: u32, port: u32, message: &Ndmsg, attrs: Attrs<'_>) -> NlResult<()> {
    let flags = message.flags - (Ntf::MASTER | Ntf::SELF);
    if !(Ntf::USE | Ntf::EXT_LEARNED | Ntf::OFFLOADED | Ntf::STICKY).contains(flags) {
        return Err(nl_err!(EINVAL, "Unsupported fdb flush ndm flag bits set"));
    }
    if !(NudSet::PERMANENT | NudSet::NOARP).contains(message.state) {
        return Err(nl_err!(EINVAL, "Unsupported fdb flush ndm state bits set"));
    }
    let number = |attr: u16| attrs.get(attr).map(|data| u16_at(data, 0)).unwrap_or(0);
    let state_mask = NudSet::from_bits_retain(number(NDA_NDM_STATE_MASK));
    let flags_mask = attrs.get(NDA_NDM_FLAGS_MASK).and_then(|data| data.first());
    let flags_mask = Ntf::from_bits_retain(flags_mask.copied().unwrap_or(0));
    let named = port_in(net, bridge, attrs)?;
    let what = FdbFlush {
        vlan: vlan_in(attrs)?,
        port: named.or((port != OWN).then_some(port)),
        mask: of_state(state_mask) | of_flags(flags_mask),
        flags: of_state(message.state) | of_flags(flags),
    };
    Ok(net.flush_fdb(bridge, &what)?)
}

/// `RTM_DELNEIGH`.
pub fn del(cx: &Cx<'_>, payload: &[u8]) -> NlResult<Reply> {
    let attrs = Attrs::after(payload, HEAD)?;
    check(attrs)?;
    let message = Ndmsg::read(payload);
    cx.socket.stack().with(|net| {
        let dev = message.device(net)?;
        if dev.arphrd() != 1 {
            return Err(nl_err!(EINVAL, "FDB delete only supported for Ethernet devices"));
        }
        vlan_in(attrs)?;
        let (port, is_bridge) = (dev.port.as_ref().map(|port| port.bridge), is_bridge(dev));
        let mut result = Err(nobody());
        if let Some(bridge) = port.filter(|_| message.for_master()) {
            flush(net, bridge, message.ifindex, &message, attrs)?;
            result = Ok(Reply::Done);
        }
        if message.flags.contains(Ntf::SELF) {
            if !is_bridge {
                return Err(nobody());
            }
            flush(net, message.ifindex, OWN, &message, attrs)?;
            result = Ok(Reply::Done);
        }
        result
    })
}
