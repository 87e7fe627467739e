//! The chain of extension headers of IPv6 (RFC 8200, 4), and the options in them.

use core::net::Ipv6Addr;

use super::ip4::proto;
use super::ip6::{FRAGMENT_HLEN, HLEN6};
use super::packet::be16;

/// Extension headers (`IPPROTO_*`).
#[allow(missing_docs)]
pub(super) mod ext {
    pub const HOP_BY_HOP: u8 = 0;
    pub const ROUTING: u8 = 43;
    pub const FRAGMENT: u8 = 44;
    pub const NONE: u8 = 59;
    pub const DESTINATION: u8 = 60;
}

/// A place in the chain: what comes next, where that is said, and where it begins.
#[derive(Clone, Copy, Debug)]
pub(super) struct Headers {
    pub next: u8,
    pub next_at: usize,
    pub at: usize,
}

impl Headers {
    /// Behind the first header of a packet, which is whole.
    pub fn of(data: &[u8]) -> Headers {
        Headers {
            next: data[6],
            next_at: 6,
            at: HLEN6,
        }
    }
    /// Behind the header that begins here, which has a length in it. `None`: the packet ends before.
    pub fn skip(self, data: &[u8]) -> Option<Headers> {
        let &[next, len] = data.get(self.at..)?.first_chunk()?;
        let len = match self.next {
            ext::FRAGMENT => FRAGMENT_HLEN,
            _ => (len as usize + 1) * 8,
        };
        let at = self.at + len;
        (at <= data.len()).then_some(Headers {
            next,
            next_at: self.at,
            at,
        })
    }
    /// The fragment header.
    pub fn to_fragment(data: &[u8]) -> Option<Headers> {
        let mut here = Headers::of(data);
        while matches!(here.next, ext::HOP_BY_HOP | ext::ROUTING | ext::DESTINATION) {
            here = here.skip(data)?;
        }
        (here.next == ext::FRAGMENT).then_some(here)
    }
    /// The transport header of a packet that may be cut at its end. `None`: it is in another fragment, or not in what
    /// is there.
    pub fn to_transport(data: &[u8]) -> Option<Headers> {
        Headers::of(data).transport(data)
    }
    fn transport(mut self, data: &[u8]) -> Option<Headers> {
        while matches!(
            self.next,
            ext::HOP_BY_HOP | ext::ROUTING | ext::DESTINATION | ext::FRAGMENT
        ) {
            if self.next == ext::FRAGMENT && be16(data, self.at + 2) & !7 != 0 {
                return None;
            }
            self = self.skip(data)?;
        }
        Some(self)
    }
    /// Whether not all headers are in the first fragment, whose fragment header is here (RFC 7112).
    pub fn are_cut(data: &[u8], fragment: Headers) -> bool {
        let Some(end) = fragment.transport(data) else {
            return true;
        };
        let least = match end.next {
            proto::TCP => 20,
            proto::UDP | proto::ICMPV6 => 8,
            _ => 1,
        };
        end.at + least > data.len()
    }
}

/// What becomes of a packet because of an option.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Verdict {
    Fine,
    Drop,
    /// Dropped, and the sender is told where the option is.
    Tell(u32),
}

/// Looks at the options of the header from `at` to `end`.
pub(super) fn options(data: &[u8], at: usize, end: usize, hop_by_hop: bool, dst: Ipv6Addr) -> Verdict {
    const PAD: u8 = 0;
    const PAD_N: u8 = 1;
    const ROUTER_ALERT: u8 = 5;
    let mut at = at + 2;
    let mut padding = 0;
    while at < end {
        if data[at] == PAD {
            padding += 1;
            if padding > 7 {
                return Verdict::Drop;
            }
            at += 1;
            continue;
        }
        let (kind, len) = match data.get(at + 1) {
            Some(len) if at + 2 + *len as usize <= end => (data[at], *len as usize),
            _ => return Verdict::Drop,
        };
        match kind {
            PAD_N => {
                padding += 2 + len;
                let empty = data[at + 2..at + 2 + len].iter().all(|byte| *byte == 0);
                if padding > 7 || !empty {
                    return Verdict::Drop;
                }
            }
            ROUTER_ALERT if hop_by_hop && len == 2 => padding = 0,
            // Unknown: its first bits say what to do.
            _ => match kind >> 6 {
                0 => padding = 0,
                2 => return Verdict::Tell(at as u32),
                3 if !dst.is_multicast() => return Verdict::Tell(at as u32),
                _ => return Verdict::Drop,
            },
        }
        at += 2 + len;
    }
    Verdict::Fine
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOST: Ipv6Addr = Ipv6Addr::LOCALHOST;
    const MANY: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);

    fn verdict(bytes: &[u8], dst: Ipv6Addr) -> Verdict {
        let data = [&[59, 0], bytes].concat();
        options(&data, 0, data.len(), true, dst)
    }

    #[test]
    fn options_are_skipped_or_refused() {
        assert_eq!(verdict(&[1, 4, 0, 0, 0, 0], HOST), Verdict::Fine);
        assert_eq!(verdict(&[1, 4, 0, 0, 0, 1], HOST), Verdict::Drop);
        assert_eq!(verdict(&[0; 6], HOST), Verdict::Fine);
        assert_eq!(verdict(&[0; 14], HOST), Verdict::Drop);
        assert_eq!(verdict(&[5, 2, 0, 0, 1, 0], HOST), Verdict::Fine);
        assert_eq!(verdict(&[5, 9, 0, 0, 1, 0], HOST), Verdict::Drop);
        assert_eq!(verdict(&[0x1e, 0, 0x5e, 0, 1, 0], HOST), Verdict::Drop);
        assert_eq!(verdict(&[0, 0, 0x9e, 0, 1, 0], MANY), Verdict::Tell(4));
        assert_eq!(verdict(&[0xde, 0, 0, 0, 0, 0], HOST), Verdict::Tell(2));
        assert_eq!(verdict(&[0xde, 0, 0, 0, 0, 0], MANY), Verdict::Drop);
    }

    #[test]
    fn nonsense_ends() {
        for seed in 0..5000u32 {
            let bytes: [u8; 64] = core::array::from_fn(|n| {
                (seed.wrapping_mul(2654435761).rotate_left(n as u32 * 5) >> 3) as u8 & 0x3f
            });
            for len in 40..64 {
                let data = &bytes[..len];
                let _ = Headers::to_transport(data);
                if let Some(here) = Headers::to_fragment(data) {
                    let _ = Headers::are_cut(data, here);
                }
            }
        }
    }
}
