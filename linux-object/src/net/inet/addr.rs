//! `struct sockaddr_in` and `struct sockaddr_in6`.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::error::Result;
use crate::net::{SockAddr, af};
use crate::{bail, ensure};

/// An address with a port.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SockAddrIn {
    /// The address; IPv4 in IPv6 is IPv4.
    pub addr: IpAddr,
    /// The port.
    pub port: u16,
    /// `sin6_scope_id`.
    pub scope: u32,
}

impl SockAddrIn {
    /// Reads an address for a socket of a family. `EINVAL`: too short; `EAFNOSUPPORT`: another family.
    pub fn parse(raw: &[u8], v6: bool) -> Result<SockAddrIn> {
        ensure!(raw.len() >= 2, EINVAL, "the address is too short");
        let family = u16::from_ne_bytes([raw[0], raw[1]]);
        let port = |raw: &[u8]| u16::from_be_bytes([raw[2], raw[3]]);
        match family {
            af::INET => {
                ensure!(raw.len() >= 16, EINVAL, "the address is too short");
                Ok(SockAddrIn {
                    addr: IpAddr::V4(Ipv4Addr::new(raw[4], raw[5], raw[6], raw[7])),
                    port: port(raw),
                    scope: 0,
                })
            }
            af::INET6 if v6 => {
                ensure!(raw.len() >= 24, EINVAL, "the address is too short");
                let mut bytes = [0; 16];
                bytes.copy_from_slice(&raw[8..24]);
                let addr = Ipv6Addr::from(bytes);
                let scope = raw.get(24..28).and_then(|raw| raw.first_chunk());
                Ok(SockAddrIn {
                    addr: addr.to_ipv4_mapped().map_or(IpAddr::V6(addr), IpAddr::V4),
                    port: port(raw),
                    scope: scope.map_or(0, |&raw| u32::from_ne_bytes(raw)),
                })
            }
            _ => bail!(EAFNOSUPPORT, "an address of another family"),
        }
    }
    /// Writes an address as a socket of a family shows it.
    pub fn emit(addr: IpAddr, port: u16, scope: u32, v6: bool) -> SockAddr {
        let mut raw = SockAddr::new();
        if !v6 {
            raw.extend_from_slice(&af::INET.to_ne_bytes());
            raw.extend_from_slice(&port.to_be_bytes());
            let addr = match addr {
                IpAddr::V4(addr) => addr,
                IpAddr::V6(_) => Ipv4Addr::UNSPECIFIED,
            };
            raw.extend_from_slice(&addr.octets());
            raw.extend_from_slice(&[0; 8]);
            return raw;
        }
        let (addr, scope) = match addr {
            IpAddr::V6(addr) => (addr, if addr.is_unicast_link_local() { scope } else { 0 }),
            IpAddr::V4(Ipv4Addr::UNSPECIFIED) => (Ipv6Addr::UNSPECIFIED, 0),
            IpAddr::V4(addr) => (addr.to_ipv6_mapped(), 0),
        };
        raw.extend_from_slice(&af::INET6.to_ne_bytes());
        raw.extend_from_slice(&port.to_be_bytes());
        raw.extend_from_slice(&[0; 4]);
        raw.extend_from_slice(&addr.octets());
        raw.extend_from_slice(&scope.to_ne_bytes());
        raw
    }
    /// Whether the bytes are `AF_UNSPEC`: a connection is to be given up.
    pub fn is_unspec(raw: &[u8]) -> bool {
        raw.len() >= 2 && u16::from_ne_bytes([raw[0], raw[1]]) == af::UNSPEC
    }
}
