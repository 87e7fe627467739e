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

/// The settings below `net` of the whole kernel. Only the initial namespace shows them.
pub struct NetCore {
    /// `net.core.rmem_default`: `SO_RCVBUF` of a new socket.
    pub rmem_default: Setting,
    /// `net.core.rmem_max`: what may be asked for as `SO_RCVBUF`, before it is doubled.
    pub rmem_max: Setting,
    /// `net.core.wmem_default`: `SO_SNDBUF` of a new socket.
    pub wmem_default: Setting,
    /// `net.core.wmem_max`.
    pub wmem_max: Setting,
    /// `net.core.optmem_max`: control data of one message.
    pub optmem_max: Setting,
    /// `net.ipv6.mld_max_msf`: sources of one membership.
    pub mld_max_msf: Setting,
}

impl Default for NetCore {
    fn default() -> NetCore {
        const BUFFER: i64 = 212_992;
        NetCore {
            rmem_default: Setting::new(BUFFER),
            rmem_max: Setting::new(BUFFER),
            wmem_default: Setting::new(BUFFER),
            wmem_max: Setting::new(BUFFER),
            optmem_max: Setting::new(20480),
            mld_max_msf: Setting::new(64),
        }
    }
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
    /// `net.ipv4.igmp_max_memberships`: groups of one socket.
    igmp_max_memberships = 20,
    /// `net.ipv4.igmp_max_msf`: sources of one membership.
    igmp_max_msf = 10,
    /// `net.ipv4.ipfrag_time`: seconds for which a packet in pieces waits.
    ipfrag_time = 30,
    /// `net.ipv6.ip6frag_time`.
    ip6frag_time = 60,
    /// `net.ipv6.bindv6only`.
    bindv6only = 0,
    /// `net.ipv4.tcp_keepalive_time`, in seconds.
    tcp_keepalive_time = 7200,
    /// `net.ipv4.tcp_keepalive_intvl`, in seconds.
    tcp_keepalive_intvl = 75,
    /// `net.ipv4.tcp_keepalive_probes`.
    tcp_keepalive_probes = 9,
    /// `net.ipv4.tcp_fin_timeout`: seconds for which half a connection without a program waits.
    tcp_fin_timeout = 60,
    /// `net.ipv4.tcp_max_tw_buckets`: connections that wait in TIME-WAIT.
    tcp_max_tw_buckets = 8192,
    /// `net.ipv4.tcp_syn_retries`: attempts to connect after the first.
    tcp_syn_retries = 6,
    /// `net.core.somaxconn`.
    somaxconn = 4096,
    /// `net.unix.max_dgram_qlen`: datagrams that a socket made from now on keeps from those that it is not connected
    /// to.
    max_dgram_qlen = 10,
}
