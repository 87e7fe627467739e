//! Counters of a namespace: what `/proc/net/{snmp,snmp6,netstat}` show (RFC 4293, 4022, 4113, and Linux's own).
//!
//! Only what is counted has a name here, so only that is shown. A counter is one relaxed addition where the thing
//! happens.

use core::sync::atomic::{AtomicU64, Ordering};

macro_rules! counters {
    ($($name:ident,)*) => {
        /// A counter, named as Linux shows it, with its table in front.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        #[allow(missing_docs)]
        #[repr(usize)]
        pub enum Counter { $($name,)* }
        const COUNT: usize = [$(Counter::$name,)*].len();
        const NAMES: [(Counter, &str); COUNT] = [$((Counter::$name, stringify!($name)),)*];
    };
}

counters! {
    IpInReceives, IpInHdrErrors, IpInAddrErrors, IpForwDatagrams, IpInUnknownProtos, IpInDelivers,
    IpOutRequests, IpOutNoRoutes, IpReasmTimeout, IpReasmReqds, IpReasmOKs, IpReasmFails, IpFragOKs, IpFragFails, IpFragCreates,
    IcmpInMsgs, IcmpInErrors, IcmpInCsumErrors, IcmpInDestUnreachs, IcmpInTimeExcds, IcmpInEchos, IcmpInEchoReps,
    IcmpOutMsgs, IcmpOutDestUnreachs, IcmpOutTimeExcds, IcmpOutEchos, IcmpOutEchoReps,
    TcpActiveOpens, TcpPassiveOpens, TcpAttemptFails, TcpEstabResets, TcpCurrEstab, TcpInSegs, TcpOutSegs,
    TcpRetransSegs, TcpInErrs, TcpOutRsts, TcpInCsumErrors,
    UdpInDatagrams, UdpNoPorts, UdpInErrors, UdpOutDatagrams, UdpRcvbufErrors, UdpInCsumErrors,
    Ip6InReceives, Ip6InHdrErrors, Ip6InTooBigErrors, Ip6InUnknownProtos, Ip6InDelivers, Ip6OutForwDatagrams,
    Ip6OutRequests, Ip6OutNoRoutes, Ip6ReasmTimeout, Ip6ReasmReqds, Ip6ReasmOKs, Ip6ReasmFails,
    Ip6FragOKs, Ip6FragFails, Ip6FragCreates,
    Ip6InMcastPkts, Ip6OutMcastPkts, Ip6InOctets, Ip6OutOctets,
    Icmp6InMsgs, Icmp6InErrors, Icmp6OutMsgs, Icmp6InCsumErrors,
    Udp6InDatagrams, Udp6NoPorts, Udp6InErrors, Udp6OutDatagrams, Udp6RcvbufErrors, Udp6InCsumErrors,
    TcpExtOutOfWindowIcmps, TcpExtTW, TcpExtListenOverflows, TcpExtListenDrops, TcpExtIPReversePathFilter, TcpExtTCPAbortOnTimeout,
    TcpExtTCPAbortOnLinger, TcpExtTCPTimeWaitOverflow, TcpExtTCPKeepAlive,
    IpExtInNoRoutes, IpExtInMcastPkts, IpExtOutMcastPkts, IpExtInBcastPkts, IpExtOutBcastPkts,
    IpExtInOctets, IpExtOutOctets, IpExtReasmOverlaps,
}

/// The tables, longest names first where one begins like another.
const TABLES: [&str; 10] = [
    "TcpExt", "IpExt", "Icmp6", "Udp6", "Ip6", "Icmp", "Tcp", "Udp", "Ip", "",
];

/// The counters of a namespace.
pub struct Mib([AtomicU64; COUNT]);

impl Default for Mib {
    fn default() -> Mib {
        Mib([const { AtomicU64::new(0) }; COUNT])
    }
}

impl Mib {
    /// Counts one.
    pub fn add(&self, counter: Counter) {
        self.add_many(counter, 1);
    }
    /// Counts several.
    pub fn add_many(&self, counter: Counter, n: u64) {
        self.0[counter as usize].fetch_add(n, Ordering::Relaxed);
    }
    /// One less, of what comes and goes.
    pub fn sub(&self, counter: Counter) {
        self.0[counter as usize].fetch_sub(1, Ordering::Relaxed);
    }
    /// A count so far.
    pub fn get(&self, counter: Counter) -> u64 {
        self.0[counter as usize].load(Ordering::Relaxed)
    }
    /// The names and counts of a table, in order.
    pub fn table(&self, table: &'static str) -> impl Iterator<Item = (&'static str, u64)> {
        NAMES.iter().filter_map(move |&(counter, name)| {
            let of = TABLES.iter().find(|table| name.starts_with(**table))?;
            (*of == table).then(|| (&name[table.len()..], self.get(counter)))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_do_not_mix() {
        let mib = Mib::default();
        mib.add(Counter::Ip6InReceives);
        mib.add_many(Counter::IpInReceives, 2);
        let value = |table, name| mib.table(table).find(|(have, _)| *have == name).map(|(_, n)| n);
        assert_eq!(value("Ip6", "InReceives"), Some(1));
        assert_eq!(value("Ip", "InReceives"), Some(2));
        assert_eq!(value("Ip", "ExtInOctets"), None);
        assert_eq!(value("IpExt", "InOctets"), Some(0));
        assert_eq!(value("TcpExt", "ListenDrops"), Some(0));
        assert_eq!(value("Tcp", "InSegs"), Some(0));
        let all: usize = TABLES.iter().map(|table| mib.table(table).count()).sum();
        assert_eq!(all, COUNT);
    }
}
