//! Options of the levels `IPPROTO_IP` and `IPPROTO_IPV6` that datagram and stream sockets share.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr};

use crate::error::Result;
use crate::net::stack::{NetStack, PmtuDiscovery, Run};
use crate::{bail, ensure, err};

pub const SOL_IP: i32 = 0;
pub const SOL_IPV6: i32 = 41;
const IP_MTU: i32 = 14;
const IPV6_MTU: i32 = 24;
/// What is asked with `getsockopt`, and what is received with `IPV6_RECVPATHMTU`.
pub const IPV6_PATHMTU: i32 = 61;

/// Whether the option asks for the MTU of the way to whom the socket is connected to.
pub fn asks_mtu(v6: bool, level: i32, name: i32) -> bool {
    match (level, name) {
        (SOL_IP, IP_MTU) => true,
        (SOL_IPV6, IPV6_MTU | IPV6_PATHMTU) => v6,
        _ => false,
    }
}

/// The MTU of the way between a socket's ends. `devices`: those of its scope and of `SO_BINDTODEVICE`, or 0.
pub fn path_mtu(stack: &Arc<NetStack>, remote: IpAddr, local: IpAddr, devices: [u32; 2]) -> Option<u32> {
    let oif = devices.into_iter().find(|&oif| oif != 0).unwrap_or(0);
    let src = (!local.is_unspecified()).then_some(local);
    // Nothing is sent meanwhile.
    stack.enter(&mut Run::new(), |net| net.path_mtu(remote, src, oif))
}

/// The answer to that, for whom there is room for `len` bytes. `ENOTCONN`, `EINVAL`.
pub fn mtu_answer(level: i32, name: i32, len: usize, mtu: Option<u32>) -> Result<Vec<u8>> {
    let whole = (level, name) == (SOL_IPV6, IPV6_PATHMTU);
    ensure!(
        !whole || len >= MTUINFO,
        EINVAL,
        "too short for a struct ip6_mtuinfo"
    );
    let mtu = mtu.ok_or(err!(ENOTCONN, "not connected"))?;
    if !whole {
        return Ok(mtu.to_ne_bytes().to_vec());
    }
    let mut info = alloc::vec![0; MTUINFO - 4];
    info.extend_from_slice(&mtu.to_ne_bytes());
    Ok(info)
}

/// `struct ip6_mtuinfo`: a `struct sockaddr_in6` and the MTU.
const MTUINFO: usize = 32;

/// What the options of a socket are.
#[derive(Clone, Debug)]
pub struct IpOptions {
    pub tos: u8,
    pub ttl: Option<u8>,
    pub multicast_ttl: u8,
    pub hdrincl: bool,
    pub recverr: bool,
    pub pktinfo: bool,
    pub recvttl: bool,
    pub recvtos: bool,
    pub mtu_discover: PmtuDiscovery,
    pub mtu_discover6: PmtuDiscovery,
    /// What is longer than this is cut (`IPV6_MTU`); 0: the path alone counts.
    pub frag_size6: u32,
    pub dont_frag6: bool,
    pub recv_path_mtu: bool,
    pub freebind: bool,
    pub hops: Option<u8>,
    pub multicast_hops: Option<u8>,
    pub tclass: u8,
    pub v6only: bool,
    pub recvpktinfo6: bool,
    pub recvhops: bool,
    pub recvtclass: bool,
    pub recverr6: bool,
    /// What is sent to a group comes back to members here.
    pub mc_loop: bool,
    pub mc_loop6: bool,
    /// A group that the socket is not in is received as well, if the host is in it.
    pub mc_all: bool,
    pub mc_all6: bool,
    /// Through which device, and from where, packets to groups go if nothing else says so.
    pub mc_if: u32,
    pub mc_addr: Ipv4Addr,
    pub mc_if6: u32,
}

impl Default for IpOptions {
    fn default() -> IpOptions {
        IpOptions {
            tos: 0,
            ttl: None,
            multicast_ttl: 1,
            hdrincl: false,
            recverr: false,
            pktinfo: false,
            recvttl: false,
            recvtos: false,
            mtu_discover: PmtuDiscovery::Want,
            mtu_discover6: PmtuDiscovery::Want,
            frag_size6: 0,
            dont_frag6: false,
            recv_path_mtu: false,
            freebind: false,
            hops: None,
            multicast_hops: None,
            tclass: 0,
            v6only: false,
            recvpktinfo6: false,
            recvhops: false,
            recvtclass: false,
            recverr6: false,
            mc_loop: true,
            mc_loop6: true,
            mc_all: true,
            mc_all6: true,
            mc_if: 0,
            mc_addr: Ipv4Addr::UNSPECIFIED,
            mc_if6: 0,
        }
    }
}

/// An int, or for IPv4's small options also a byte.
pub fn int(value: &[u8]) -> Result<i32> {
    match (value.first_chunk::<4>(), value.first()) {
        (Some(&bytes), _) => Ok(i32::from_ne_bytes(bytes)),
        (None, Some(&byte)) => Ok(byte as i32),
        _ => bail!(EINVAL, "the option is an int"),
    }
}

/// An int that is 0 or 1.
fn bit(value: &[u8]) -> Result<bool> {
    let number = int(value)?;
    ensure!((0..=1).contains(&number), EINVAL, "0 or 1");
    Ok(number != 0)
}

impl IpOptions {
    /// Sets an option; `false`: there is no such.
    pub fn set(&mut self, v6: bool, level: i32, name: i32, value: &[u8]) -> Result<bool> {
        let byte = |number: i32, min: i32| -> Result<Option<u8>> {
            ensure!(
                number == -1 || (min..=255).contains(&number),
                EINVAL,
                "the option's range"
            );
            Ok((number != -1).then_some(number as u8))
        };
        match (level, name) {
            (SOL_IP, 1) => self.tos = int(value)? as u8,
            (SOL_IP, 2) => self.ttl = byte(int(value)?, 1)?,
            (SOL_IP, 3) => self.hdrincl = int(value)? != 0,
            (SOL_IP, 8) => self.pktinfo = int(value)? != 0,
            (SOL_IP, 10) => {
                let mode = PmtuDiscovery::from_number(int(value)?);
                self.mtu_discover = mode.ok_or(err!(EINVAL, "IP_MTU_DISCOVER"))?;
            }
            (SOL_IP, 11) => self.recverr = int(value)? != 0,
            (SOL_IP, 12) => self.recvttl = int(value)? != 0,
            (SOL_IP, 13) => self.recvtos = int(value)? != 0,
            (SOL_IP, 15) => self.freebind = int(value)? != 0,
            (SOL_IP, 33) => self.multicast_ttl = byte(int(value)?, 0)?.unwrap_or(1),
            (SOL_IP, 34) => self.mc_loop = int(value)? != 0,
            (SOL_IP, 49) => self.mc_all = bit(value)?,
            (SOL_IPV6, _) if !v6 => return Ok(false),
            (SOL_IPV6, 19) => self.mc_loop6 = bit(value)?,
            (SOL_IPV6, 29) => self.mc_all6 = bit(value)?,
            (SOL_IPV6, 16) => self.hops = byte(int(value)?, 0)?,
            (SOL_IPV6, 18) => self.multicast_hops = byte(int(value)?, 0)?,
            (SOL_IPV6, 23) => {
                let mode = PmtuDiscovery::from_number(int(value)?);
                self.mtu_discover6 = mode.ok_or(err!(EINVAL, "IPV6_MTU_DISCOVER"))?;
            }
            (SOL_IPV6, IPV6_MTU) => {
                let size = int(value)?;
                ensure!(size == 0 || size >= 1280, EINVAL, "no MTU of IPv6");
                self.frag_size6 = size as u32;
            }
            (SOL_IPV6, 60) => self.recv_path_mtu = int(value)? != 0,
            (SOL_IPV6, 62) => self.dont_frag6 = int(value)? != 0,
            (SOL_IPV6, 25) => self.recverr6 = int(value)? != 0,
            (SOL_IPV6, 26) => self.v6only = int(value)? != 0,
            (SOL_IPV6, 49) => self.recvpktinfo6 = int(value)? != 0,
            (SOL_IPV6, 51) => self.recvhops = int(value)? != 0,
            (SOL_IPV6, 66) => self.recvtclass = int(value)? != 0,
            (SOL_IPV6, 67) => self.tclass = byte(int(value)?, 0)?.unwrap_or(0),
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Gets an option.
    pub fn get(&self, v6: bool, level: i32, name: i32) -> Result<Vec<u8>> {
        let number = match (level, name) {
            (SOL_IP, 1) => self.tos as i32,
            (SOL_IP, 2) => self.ttl.unwrap_or(64) as i32,
            (SOL_IP, 3) => self.hdrincl as i32,
            (SOL_IP, 4) => return Ok(Vec::new()),
            (SOL_IP, 8) => self.pktinfo as i32,
            (SOL_IP, 10) => self.mtu_discover as i32,
            (SOL_IP, 11) => self.recverr as i32,
            (SOL_IP, 12) => self.recvttl as i32,
            (SOL_IP, 13) => self.recvtos as i32,
            (SOL_IP, 15) => self.freebind as i32,
            (SOL_IP, 33) => self.multicast_ttl as i32,
            (SOL_IP, 32) => return Ok(self.mc_addr.octets().to_vec()),
            (SOL_IP, 34) => self.mc_loop as i32,
            (SOL_IP, 49) => self.mc_all as i32,
            (SOL_IPV6, _) if !v6 => bail!(ENOPROTOOPT),
            (SOL_IPV6, 17) => self.mc_if6 as i32,
            (SOL_IPV6, 19) => self.mc_loop6 as i32,
            (SOL_IPV6, 29) => self.mc_all6 as i32,
            (SOL_IPV6, 16) => self.hops.unwrap_or(64) as i32,
            (SOL_IPV6, 18) => self.multicast_hops.unwrap_or(1) as i32,
            (SOL_IPV6, 23) => self.mtu_discover6 as i32,
            (SOL_IPV6, 60) => self.recv_path_mtu as i32,
            (SOL_IPV6, 62) => self.dont_frag6 as i32,
            (SOL_IPV6, 25) => self.recverr6 as i32,
            (SOL_IPV6, 26) => self.v6only as i32,
            (SOL_IPV6, 49) => self.recvpktinfo6 as i32,
            (SOL_IPV6, 51) => self.recvhops as i32,
            (SOL_IPV6, 66) => self.recvtclass as i32,
            (SOL_IPV6, 67) => self.tclass as i32,
            _ => bail!(ENOPROTOOPT, "there is no such option"),
        };
        Ok(number.to_ne_bytes().to_vec())
    }
}
