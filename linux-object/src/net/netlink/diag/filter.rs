//! The little programs with which `ss` narrows a listing (`INET_DIAG_REQ_BYTECODE`).
//!
//! Steps of four bytes, some with a step or an address behind them; each says how many bytes to go forward if it is
//! true and if not. A socket is wanted if the end is met exactly. Steps only go forward, so every program ends.

use core::net::IpAddr;

use crate::ensure;
use crate::error::Result;
use crate::net::netlink::message::{u16_at, u32_at};
use crate::net::stack::sockets::InetInfo;

const NOP: u8 = 0;
const JMP: u8 = 1;
const S_GE: u8 = 2;
const S_LE: u8 = 3;
const D_GE: u8 = 4;
const D_LE: u8 = 5;
const AUTO: u8 = 6;
const S_COND: u8 = 7;
const D_COND: u8 = 8;
const DEV_COND: u8 = 9;
const S_EQ: u8 = 11;
const D_EQ: u8 = 12;

const STEP: usize = 4;
const AF_UNSPEC: u8 = 0;
const AF_INET: u8 = 2;

/// A program that was checked.
#[derive(Clone, Copy)]
pub struct Filter<'a>(&'a [u8]);

impl<'a> Filter<'a> {
    /// Checks a program. `EINVAL`: it is none.
    pub fn new(code: &'a [u8]) -> Result<Filter<'a>> {
        ensure!(code.len() >= STEP, EINVAL, "inet_diag: an empty filter");
        let mut at = 0;
        while at < code.len() {
            let left = code.len() - at;
            ensure!(left >= STEP, EINVAL, "inet_diag: half a step");
            let size = match code[at] {
                S_GE | S_LE | D_GE | D_LE | S_EQ | D_EQ => 2 * STEP,
                S_COND | D_COND => {
                    ensure!(left >= STEP + 8, EINVAL, "inet_diag: half a condition");
                    let (family, prefix) = (code[at + 4], code[at + 5]);
                    let len = match family {
                        AF_UNSPEC => 0,
                        AF_INET => 4,
                        10 => 16,
                        _ => crate::bail!(EINVAL, "inet_diag: no such family"),
                    };
                    ensure!(
                        prefix as usize <= len * 8,
                        EINVAL,
                        "inet_diag: longer than an address"
                    );
                    STEP + 8 + len
                }
                DEV_COND => STEP + 4,
                AUTO | JMP | NOP => STEP,
                _ => crate::bail!(EINVAL, "inet_diag: no such step"),
            };
            ensure!(left >= size, EINVAL, "inet_diag: half a condition");
            let (yes, no) = (code[at + 1] as usize, u16_at(code, at + 2) as usize);
            if code[at] != NOP {
                let fits = no >= STEP && no <= left + 4 && no.is_multiple_of(4);
                ensure!(fits, EINVAL, "inet_diag: a step goes nowhere");
            }
            let fits = yes >= size && yes <= left + 4 && yes.is_multiple_of(4);
            ensure!(fits, EINVAL, "inet_diag: a step goes nowhere");
            at += yes;
        }
        ensure!(at == code.len(), EINVAL, "inet_diag: the filter does not end");
        Ok(Filter(code))
    }

    /// Whether the socket is wanted.
    pub fn wants(&self, info: &InetInfo) -> bool {
        let code = self.0;
        let mut at = 0;
        while at + STEP <= code.len() {
            let port = u16_at(code, at + STEP + 2);
            let (own, other) = (info.local.1, info.remote.1);
            let holds = match code[at] {
                S_GE => own >= port,
                S_LE => own <= port,
                D_GE => other >= port,
                D_LE => other <= port,
                S_EQ => own == port,
                D_EQ => other == port,
                S_COND => condition(&code[at + STEP..], info.local),
                D_COND => condition(&code[at + STEP..], info.remote),
                DEV_COND => u32_at(code, at + STEP) == info.ifindex,
                JMP => false,
                // Nobody can tell whether a port was chosen by the kernel.
                AUTO => false,
                _ => true,
            };
            let step = if holds {
                code[at + 1] as usize
            } else {
                u16_at(code, at + 2) as usize
            };
            at += step.max(STEP);
        }
        at == code.len()
    }
}

/// A port (-1 is any) and the beginning of an address.
fn condition(cond: &[u8], (addr, port): (IpAddr, u16)) -> bool {
    let (family, prefix) = (
        cond.first().copied().unwrap_or(0),
        cond.get(1).copied().unwrap_or(0),
    );
    let wanted = u32_at(cond, 4) as i32;
    if wanted != -1 && wanted != port as i32 {
        return false;
    }
    if family == AF_UNSPEC {
        return true;
    }
    let bytes = cond.get(8..).unwrap_or_default();
    let same = |own: &[u8]| {
        (0..prefix as usize).all(|bit| {
            let at = |bytes: &[u8]| bytes.get(bit / 8).map(|byte| byte >> (7 - bit % 8) & 1);
            at(own) == at(bytes)
        })
    };
    match (addr, family) {
        (IpAddr::V4(own), AF_INET) => same(&own.octets()),
        (IpAddr::V4(own), _) => same(&own.to_ipv6_mapped().octets()),
        (IpAddr::V6(own), AF_INET) => own.to_ipv4_mapped().is_some_and(|own| same(&own.octets())),
        (IpAddr::V6(own), _) => same(&own.octets()),
    }
}
