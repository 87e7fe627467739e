//! Adds, changes and removes an entry (`bridge fdb add`, `append`, `replace`, `del`).

use super::super::super::message::{Attrs, NlFlags};
use super::super::super::{NlResult, Reply};
use super::{
    Cx, HEAD, NDA_FDB_EXT_ATTRS, NFEA_ACTIVITY_NOTIFY, NOTIFY_BITS, Ndmsg, Ntf, NudSet, fill_self, is_bridge,
    mac_in, nobody, queue_self, rtm, vlan_in,
};
use crate::error::Errno;
use crate::net::stack::device::Mac;
use crate::net::stack::neigh::Nud;
use crate::net::stack::{FdbFlags, FdbKey, FdbUpdate, Net, OWN, VLANS};
use crate::{err, nl_err};

const NDA_FLAGS_EXT: u16 = 15;
const NFEA_DONT_REFRESH: u16 = 2;

/// The VLANs that a message without one is about, or the one it names if ports are in it.
fn vlans(vlan: u16) -> NlResult<&'static [u16]> {
    match VLANS.iter().position(|have| *have == vlan) {
        Some(0) => Ok(&VLANS),
        Some(at) => Ok(&VLANS[at..=at]),
        None => Err(err!(EINVAL, "rtnetlink: the port is not in this VLAN").into()),
    }
}

/// `NDA_FDB_EXT_ATTRS`: whether activity is told, and whether a change makes the entry young.
fn extra(attrs: Attrs<'_>) -> NlResult<(FdbFlags, bool)> {
    let Some((nested, data)) = attrs.with_nested(NDA_FDB_EXT_ATTRS) else {
        return Ok((FdbFlags::empty(), true));
    };
    if !nested {
        return Err(nl_err!(EINVAL, "NLA_F_NESTED is missing"));
    }
    let (mut notify, mut refresh) = (0, true);
    for (attr, value) in Attrs::new(data)?.iter() {
        match (attr, value) {
            (NFEA_ACTIVITY_NOTIFY, [bits]) => notify = *bits,
            (NFEA_ACTIVITY_NOTIFY, _) => return Err(nl_err!(EINVAL, "invalid attribute length")),
            (NFEA_DONT_REFRESH, []) => refresh = false,
            (NFEA_DONT_REFRESH, _) => {
                return Err(err!(ERANGE, "rtnetlink: a flag has no value").into());
            }
            _ => return Err(nl_err!(EINVAL, "Unknown attribute type")),
        }
    }
    let set = NOTIFY_BITS.iter().filter(|(bit, _)| notify & bit != 0);
    let flags = set.fold(FdbFlags::empty(), |flags, (_, flag)| flags | *flag);
    if notify & !3 != 0 || flags == FdbFlags::NOTIFY_INACTIVE {
        return Err(err!(EINVAL, "rtnetlink: no such activity").into());
    }
    Ok((flags, refresh))
}

/// Adds to or changes a bridge's database; `port` may be [`OWN`].
fn add(
    cx: &Cx<'_>,
    net: &mut Net<'_>,
    (ifindex, port): (u32, u32),
    message: &Ndmsg,
    mac: Mac,
    attrs: Attrs<'_>,
) -> NlResult<()> {
    let known = NudSet::PERMANENT | NudSet::NOARP | NudSet::REACHABLE;
    if !message.state.intersects(known) || mac == [0; 6] {
        return Err(err!(EINVAL, "rtnetlink: not such a state or address in a database").into());
    }
    let (notify, refresh) = extra(attrs)?;
    let state = match message.state {
        state if state.contains(NudSet::PERMANENT) => Nud::Permanent,
        state if state.contains(NudSet::NOARP) => Nud::Noarp,
        _ => Nud::Reachable,
    };
    let update = FdbUpdate {
        port,
        state,
        sticky: message.flags.contains(Ntf::STICKY),
        create: cx.flag(NlFlags::CREATE),
        exclusive: cx.flag(NlFlags::EXCL),
        notify,
        refresh,
    };
    for &vlan in vlans(vlan_in(attrs)?)? {
        let key = FdbKey { mac, vlan };
        if message.flags.contains(Ntf::USE) {
            if port == OWN {
                return Err(err!(EINVAL, "rtnetlink: nothing comes by the bridge itself").into());
            }
            net.use_fdb(ifindex, key, port);
            continue;
        }
        let permanent = state == Nud::Permanent;
        if message.flags.contains(Ntf::EXT_LEARNED) {
            if port == OWN && !permanent {
                return Err(nl_err!(
                    EINVAL,
                    "bridge: FDB entry towards bridge must be permanent"
                ));
            }
            net.learn_fdb(ifindex, key, port)?;
            continue;
        }
        if port == OWN && !permanent || update.sticky && permanent {
            return Err(err!(EINVAL, "rtnetlink: not such an entry there").into());
        }
        net.set_fdb(ifindex, key, &update)?;
    }
    Ok(())
}

/// Removes from a bridge's database. `ENOENT`: there is none in any VLAN.
fn remove(net: &mut Net<'_>, (ifindex, port): (u32, u32), mac: Mac, vlan: u16) -> NlResult<()> {
    let mut result = Err(err!(ENOENT, "rtnetlink: no such entry").into());
    for &vlan in vlans(vlan)? {
        if net.remove_fdb(ifindex, FdbKey { mac, vlan }, port).is_ok() {
            result = Ok(());
        }
    }
    result
}

/// `RTM_NEWNEIGH`.
pub fn new(cx: &Cx<'_>, payload: &[u8]) -> NlResult<Reply> {
    let attrs = Attrs::after(payload, HEAD)?;
    let message = Ndmsg::read(payload);
    cx.socket.stack().with(|net| {
        let dev = message.device(net)?;
        let mac = mac_in(attrs)?;
        if dev.arphrd() != 1 {
            return Err(nl_err!(EINVAL, "FDB add only supported for Ethernet devices"));
        }
        let vlan = vlan_in(attrs)?;
        let (port, is_bridge) = (dev.port.as_ref().map(|port| port.bridge), is_bridge(dev));
        let mut result = Err(nobody());
        if let Some(bridge) = port.filter(|_| message.for_master()) {
            add(cx, net, (bridge, message.ifindex), &message, mac, attrs)?;
            result = Ok(Reply::Done);
        }
        if message.flags.contains(Ntf::SELF) {
            if is_bridge {
                add(cx, net, (message.ifindex, OWN), &message, mac, attrs)?;
            } else {
                let fine = message.state.is_empty() || message.state.contains(NudSet::PERMANENT);
                if !fine || attrs.get(NDA_FLAGS_EXT).is_some() || vlan != 0 {
                    return Err(err!(EINVAL, "rtnetlink: a device has only addresses").into());
                }
                match net.add_device_mac(message.ifindex, mac) {
                    Err(error) if error.errno() == Errno::EEXIST && !cx.flag(NlFlags::EXCL) => {}
                    added => added?,
                }
            }
            let state = message.state;
            queue_self(net, || {
                fill_self(message.ifindex, mac, vlan, state, rtm::NEWNEIGH, (0, 0))
            });
            result = Ok(Reply::Done);
        }
        result
    })
}

/// `RTM_DELNEIGH`.
pub fn del(cx: &Cx<'_>, payload: &[u8]) -> NlResult<Reply> {
    let attrs = Attrs::after(payload, HEAD)?;
    let message = Ndmsg::read(payload);
    cx.socket.stack().with(|net| {
        let dev = message.device(net)?;
        let mac = mac_in(attrs)?;
        if dev.arphrd() != 1 {
            return Err(nl_err!(EINVAL, "FDB delete only supported for Ethernet devices"));
        }
        let vlan = vlan_in(attrs)?;
        let (port, is_bridge) = (dev.port.as_ref().map(|port| port.bridge), is_bridge(dev));
        let mut result = Err(nobody());
        if let Some(bridge) = port.filter(|_| message.for_master()) {
            remove(net, (bridge, message.ifindex), mac, vlan)?;
            result = Ok(Reply::Done);
        }
        if message.flags.contains(Ntf::SELF) {
            if is_bridge {
                remove(net, (message.ifindex, OWN), mac, vlan)?;
            } else {
                if !message.state.contains(NudSet::PERMANENT) {
                    return Err(err!(EINVAL, "rtnetlink: a device has only addresses").into());
                }
                net.drop_device_mac(message.ifindex, mac)?;
            }
            let state = message.state;
            queue_self(net, || {
                fill_self(message.ifindex, mac, vlan, state, rtm::DELNEIGH, (0, 0))
            });
            result = Ok(Reply::Done);
        }
        result
    })
}
