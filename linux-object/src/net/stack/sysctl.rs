//! Settings of a namespace below `/proc/sys/net`. Each is read where it takes effect; those of
//! single devices are in [`conf`](super::conf).

use crate::sysctl::Setting;

macro_rules! net_settings {
    ($($(#[$doc:meta])* $name:ident = $default:expr,)*) => {
        /// The settings of one namespace.
        pub struct NetSysctls {
            $($(#[$doc])* pub $name: Setting,)*
        }
        impl Default for NetSysctls {
            fn default() -> NetSysctls {
                NetSysctls { $($name: Setting::new($default),)* }
            }
        }
    };
}

net_settings! {
    /// `net.ipv4.ip_default_ttl`.
    ip_default_ttl = 64,
    /// `net.ipv4.ip_unprivileged_port_start`.
    ip_unprivileged_port_start = 1024,
    /// `net.ipv4.ip_local_port_range`, its low end.
    local_port_low = 32768,
    /// `net.ipv4.ip_local_port_range`, its high end.
    local_port_high = 60999,
    /// `net.ipv4.ping_group_range`, its low end: a kernel gid.
    ping_group_low = 1,
    /// `net.ipv4.ping_group_range`, its high end.
    ping_group_high = 0,
    /// `net.ipv4.icmp_echo_ignore_all`.
    icmp_echo_ignore_all = 0,
    /// `net.ipv4.icmp_echo_ignore_broadcasts`.
    icmp_echo_ignore_broadcasts = 1,
    /// `net.ipv6.bindv6only`.
    bindv6only = 0,
    /// `net.ipv4.tcp_keepalive_time`, in seconds.
    tcp_keepalive_time = 7200,
    /// `net.ipv4.tcp_keepalive_intvl`, in seconds.
    tcp_keepalive_intvl = 75,
    /// `net.ipv4.tcp_keepalive_probes`.
    tcp_keepalive_probes = 9,
    /// `net.core.somaxconn`.
    somaxconn = 4096,
    /// `net.unix.max_dgram_qlen`: datagrams that a socket made from now on keeps from those that it is not connected to.
    max_dgram_qlen = 10,
}
