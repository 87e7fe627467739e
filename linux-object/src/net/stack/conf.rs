//! Settings per device: `/proc/sys/net/ipv4/conf` and `/proc/sys/net/ipv6/conf`
//! (`Documentation/networking/ip-sysctl.rst`).
//!
//! Each device has a copy of the namespace's `default`, and follows IPv4's as long as nobody has set its own; `all`
//! counts together with the device's own value, or changes every device when it is written, as the document says of
//! each setting. A new namespace takes IPv4's `all` and `default` from the initial one, as Linux does.

use alloc::vec::Vec;

use super::{Net, NetState};

/// A setting.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
#[repr(usize)]
pub enum ConfKey {
    AcceptLocal,
    Forwarding,
    PromoteSecondaries,
    ProxyArp,
    RouteLocalnet,
    RpFilter,
    AcceptDad,
    AcceptRa,
    Autoconf,
    DisableIpv6,
    Forwarding6,
    HopLimit,
    RouterSolicitations,
}

/// A file of a device's directory.
pub struct ConfFile {
    /// Its name.
    pub name: &'static str,
    /// IPv6.
    pub v6: bool,
    /// What it sets.
    pub key: ConfKey,
    /// Smallest and largest value.
    pub range: (i32, i32),
    default: i32,
}

const ANY: (i32, i32) = (i32::MIN, i32::MAX);

const fn file(v6: bool, name: &'static str, key: ConfKey, range: (i32, i32), default: i32) -> ConfFile {
    ConfFile {
        name,
        v6,
        key,
        range,
        default,
    }
}

/// All settings in the order of [`ConfKey`].
pub static CONF: [ConfFile; 13] = [
    file(false, "accept_local", ConfKey::AcceptLocal, ANY, 0),
    file(false, "forwarding", ConfKey::Forwarding, ANY, 0),
    file(false, "promote_secondaries", ConfKey::PromoteSecondaries, ANY, 0),
    file(false, "proxy_arp", ConfKey::ProxyArp, ANY, 0),
    file(false, "route_localnet", ConfKey::RouteLocalnet, ANY, 0),
    file(false, "rp_filter", ConfKey::RpFilter, ANY, 0),
    file(true, "accept_dad", ConfKey::AcceptDad, ANY, 1),
    file(true, "accept_ra", ConfKey::AcceptRa, ANY, 1),
    file(true, "autoconf", ConfKey::Autoconf, ANY, 1),
    file(true, "disable_ipv6", ConfKey::DisableIpv6, ANY, 0),
    file(true, "forwarding", ConfKey::Forwarding6, ANY, 0),
    file(true, "hop_limit", ConfKey::HopLimit, (1, 255), 64),
    file(
        true,
        "router_solicitations",
        ConfKey::RouterSolicitations,
        (-1, i32::MAX),
        -1,
    ),
];

/// The values of a device, of `all` or of `default`.
#[derive(Clone, Copy, Debug)]
pub struct Conf {
    values: [i32; CONF.len()],
    /// Which of them somebody has set, bit n for the nth.
    set: u16,
}

impl Default for Conf {
    fn default() -> Conf {
        let mut values = [0; CONF.len()];
        for file in &CONF {
            values[file.key as usize] = file.default;
        }
        Conf { values, set: 0 }
    }
}

impl Conf {
    /// A value.
    pub fn get(&self, key: ConfKey) -> i32 {
        self.values[key as usize]
    }
    fn set(&mut self, key: ConfKey, value: i32) {
        self.values[key as usize] = value;
        self.set |= 1 << key as u16;
    }
    /// What a new device takes over.
    pub(super) fn fresh(&self) -> Conf {
        Conf { set: 0, ..*self }
    }
    /// Takes over what a new namespace has from the initial one.
    pub(super) fn inherit(&mut self, from: &Conf) {
        for file in CONF.iter().filter(|file| !file.v6) {
            self.set(file.key, from.get(file.key));
        }
    }
}

/// Whose settings.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ConfOf {
    /// `all`.
    All,
    /// `default`.
    Default,
    /// The device with this number.
    Device(u32),
}

impl NetState {
    /// The settings of a device, of `all` or of `default`; `None`: the device is gone.
    pub fn conf(&self, of: ConfOf) -> Option<&Conf> {
        match of {
            ConfOf::All => Some(&self.conf_all),
            ConfOf::Default => Some(&self.conf_default),
            ConfOf::Device(ifindex) => Some(&self.devices.get(&ifindex)?.conf),
        }
    }
    fn conf_mut(&mut self, of: ConfOf) -> Option<&mut Conf> {
        match of {
            ConfOf::All => Some(&mut self.conf_all),
            ConfOf::Default => Some(&mut self.conf_default),
            ConfOf::Device(ifindex) => Some(&mut self.devices.get_mut(&ifindex)?.conf),
        }
    }
}

impl Net<'_> {
    /// A device's own value; 0 if it is gone.
    pub(super) fn conf_of(&self, ifindex: u32, key: ConfKey) -> i32 {
        self.device(ifindex).map_or(0, |dev| dev.conf.get(key))
    }
    /// The larger one of a device's and that of `all`.
    pub(super) fn conf_max(&self, ifindex: u32, key: ConfKey) -> i32 {
        self.conf_of(ifindex, key).max(self.state.conf_all.get(key))
    }

    /// Sets a value, and does what follows. `false`: the device is gone.
    pub fn set_conf(&mut self, of: ConfOf, key: ConfKey, value: i32) -> bool {
        let Some(conf) = self.state.conf_mut(of) else {
            return false;
        };
        let old = conf.get(key);
        conf.set(key, value);
        let spreads = matches!(
            key,
            ConfKey::Forwarding | ConfKey::Forwarding6 | ConfKey::DisableIpv6
        );
        if of == ConfOf::All && spreads {
            self.state.conf_default.set(key, value);
            let devices: Vec<u32> = self.state.devices.keys().copied().collect();
            for ifindex in devices {
                self.set_conf(ConfOf::Device(ifindex), key, value);
            }
        }
        if of == ConfOf::Default && !CONF[key as usize].v6 {
            for dev in self.state.devices.values_mut() {
                if dev.conf.set & 1 << key as u16 == 0 {
                    dev.conf.values[key as usize] = value;
                }
            }
        }
        if let (ConfOf::Device(ifindex), ConfKey::Forwarding6) = (of, key)
            && (old != 0) != (value != 0)
        {
            self.routers(ifindex, value != 0);
        }
        if let (ConfOf::Device(ifindex), ConfKey::DisableIpv6) = (of, key)
            && (old != 0) != (value != 0)
        {
            self.ipv6_switched(ifindex, value == 0);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_order_of_its_keys() {
        for (at, file) in CONF.iter().enumerate() {
            assert_eq!(file.key as usize, at);
        }
        assert_eq!(Conf::default().get(ConfKey::HopLimit), 64);
    }
}
