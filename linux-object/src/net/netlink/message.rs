//! Netlink messages (`netlink(7)`): headers and attributes, out of bytes and into bytes.

use alloc::vec::Vec;

use crate::bail;
use crate::error::Result;

const NLA_F_NESTED: u16 = 0x8000;

/// The length of `struct nlmsghdr`.
pub const NLMSG_HDRLEN: usize = 16;

/// Types of messages that every protocol has.
#[allow(missing_docs)]
pub mod kind {
    pub const NOOP: u16 = 1;
    pub const ERROR: u16 = 2;
    pub const DONE: u16 = 3;
    pub const MIN_TYPE: u16 = 0x10;
}

bitflags::bitflags! {
    /// `NLM_F_*`.
    #[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
    #[allow(missing_docs)]
    pub struct NlFlags: u16 {
        const REQUEST = 1;
        const MULTI = 2;
        const ACK = 4;
        const ECHO = 8;
        const DUMP_INTR = 0x10;
        /// Of a `GET` …
        const ROOT = 0x100;
        const MATCH = 0x200;
        const DUMP = 0x300;
        /// … and of a `NEW`.
        const REPLACE = 0x100;
        const EXCL = 0x200;
        const CREATE = 0x400;
        const APPEND = 0x800;
        /// … and of a `DEL`.
        const BULK = 0x200;
        /// … and of an error.
        const CAPPED = 0x100;
        const ACK_TLVS = 0x200;
        const _ = !0;
    }
}

/// `struct nlmsghdr`.
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs)]
pub struct Header {
    pub len: u32,
    pub kind: u16,
    pub flags: NlFlags,
    pub seq: u32,
    pub pid: u32,
}

/// A number at an offset; 0 where the bytes end before.
pub fn u32_at(data: &[u8], at: usize) -> u32 {
    data.get(at..at + 4)
        .and_then(|b| b.first_chunk())
        .map_or(0, |&b| u32::from_ne_bytes(b))
}
/// A number at an offset.
pub fn u16_at(data: &[u8], at: usize) -> u16 {
    data.get(at..at + 2)
        .and_then(|b| b.first_chunk())
        .map_or(0, |&b| u16::from_ne_bytes(b))
}

impl Header {
    /// The first message of some bytes: its header and payload, and the rest.
    pub fn split(data: &[u8]) -> Option<(Header, &[u8], &[u8])> {
        if data.len() < NLMSG_HDRLEN {
            return None;
        }
        let header = Header {
            len: u32_at(data, 0),
            kind: u16_at(data, 4),
            flags: NlFlags::from_bits_retain(u16_at(data, 6)),
            seq: u32_at(data, 8),
            pid: u32_at(data, 12),
        };
        let len = header.len as usize;
        if len < NLMSG_HDRLEN || len > data.len() {
            return None;
        }
        let next = len.next_multiple_of(4).min(data.len());
        Some((header, &data[NLMSG_HDRLEN..len], &data[next..]))
    }
}

/// The attributes of a message or of a nest.
#[derive(Clone, Copy)]
pub struct Attrs<'a> {
    data: &'a [u8],
}

impl<'a> Attrs<'a> {
    /// What follows a header of `skip` bytes. `EINVAL`: the message is too short.
    pub fn after(payload: &'a [u8], skip: usize) -> Result<Attrs<'a>> {
        match payload.get(skip.next_multiple_of(4).min(payload.len())..) {
            Some(data) if payload.len() >= skip => Attrs::new(data),
            _ => bail!(EINVAL, "netlink: the message is too short"),
        }
    }
    /// Attributes. `EINVAL`: one does not fit.
    pub fn new(data: &'a [u8]) -> Result<Attrs<'a>> {
        let mut left = data;
        while left.len() >= 4 {
            let len = u16_at(left, 0) as usize;
            if len < 4 || len > left.len() {
                bail!(EINVAL, "netlink: an attribute does not fit");
            }
            left = &left[len.next_multiple_of(4).min(left.len())..];
        }
        Ok(Attrs { data })
    }
    /// Every attribute: type and content.
    pub fn iter(self) -> impl Iterator<Item = (u16, &'a [u8])> {
        self.offsets().map(|(_, attr)| attr)
    }
    /// The same, each with where it begins.
    fn offsets(self) -> impl Iterator<Item = (usize, (u16, &'a [u8]))> {
        let mut at = 0;
        core::iter::from_fn(move || {
            let left = &self.data[at..];
            if left.len() < 4 {
                return None;
            }
            let len = u16_at(left, 0) as usize;
            let content = left.get(4..len)?;
            let kind = u16_at(left, 2) & 0x3fff;
            let begin = at;
            at = (at + len.next_multiple_of(4)).min(self.data.len());
            Some((begin, (kind, content)))
        })
    }
    /// How many bytes are left behind the last attribute, too few for one more.
    pub fn leftover(self) -> usize {
        let last = self.offsets().last();
        let end = last.map_or(0, |(at, (_, content))| {
            at + (content.len() + 4).next_multiple_of(4)
        });
        self.data.len().saturating_sub(end)
    }
    /// The attribute of this type; the last, if there are several.
    pub fn get(self, kind: u16) -> Option<&'a [u8]> {
        self.iter()
            .filter(|(have, _)| *have == kind)
            .last()
            .map(|(_, data)| data)
    }
    /// The attribute of this type, the first, and whether it says that it is a nest (`NLA_F_NESTED`).
    pub fn with_nested(self, kind: u16) -> Option<(bool, &'a [u8])> {
        let (at, (_, content)) = self.offsets().find(|(_, (have, _))| *have == kind)?;
        Some((u16_at(self.data, at + 2) & NLA_F_NESTED != 0, content))
    }
    /// A number. `ERANGE`: too short.
    pub fn u32(self, kind: u16) -> Result<Option<u32>> {
        match self.get(kind) {
            Some(data) if data.len() < 4 => bail!(ERANGE, "netlink: a number is too short"),
            data => Ok(data.map(|data| u32_at(data, 0))),
        }
    }
    /// A string, without the zero that ends it.
    pub fn string(self, kind: u16) -> Option<&'a [u8]> {
        let data = self.get(kind)?;
        let end = data.iter().position(|&c| c == 0).unwrap_or(data.len());
        Some(&data[..end])
    }
    /// Attributes within an attribute.
    pub fn nest(self, kind: u16) -> Result<Option<Attrs<'a>>> {
        self.get(kind).map(Attrs::new).transpose()
    }
}

/// A message being written.
pub struct Builder {
    buf: Vec<u8>,
}

impl Builder {
    /// A message with this header and, behind it, this family header.
    pub fn new(kind: u16, flags: NlFlags, seq: u32, pid: u32, head: &[u8]) -> Builder {
        let mut buf = Vec::with_capacity(512);
        buf.extend_from_slice(&0u32.to_ne_bytes());
        buf.extend_from_slice(&kind.to_ne_bytes());
        buf.extend_from_slice(&flags.bits().to_ne_bytes());
        buf.extend_from_slice(&seq.to_ne_bytes());
        buf.extend_from_slice(&pid.to_ne_bytes());
        buf.extend_from_slice(head);
        let mut new = Builder { buf };
        new.pad();
        new
    }
    fn pad(&mut self) {
        self.buf.resize(self.buf.len().next_multiple_of(4), 0);
    }
    /// An attribute.
    pub fn attr(&mut self, kind: u16, data: &[u8]) -> &mut Builder {
        self.buf.extend_from_slice(&(data.len() as u16 + 4).to_ne_bytes());
        self.buf.extend_from_slice(&kind.to_ne_bytes());
        self.buf.extend_from_slice(data);
        self.pad();
        self
    }
    /// A number of 8 bits.
    pub fn u8(&mut self, kind: u16, value: u8) -> &mut Builder {
        self.attr(kind, &[value])
    }
    /// A number of 16 bits.
    pub fn u16(&mut self, kind: u16, value: u16) -> &mut Builder {
        self.attr(kind, &value.to_ne_bytes())
    }
    /// A number of 32 bits.
    pub fn u32(&mut self, kind: u16, value: u32) -> &mut Builder {
        self.attr(kind, &value.to_ne_bytes())
    }
    /// A string with a zero at its end.
    pub fn string(&mut self, kind: u16, value: &str) -> &mut Builder {
        let mut bytes = value.as_bytes().to_vec();
        bytes.push(0);
        self.attr(kind, &bytes)
    }
    /// Attributes within an attribute.
    pub fn nest(&mut self, kind: u16, fill: impl FnOnce(&mut Builder)) -> &mut Builder {
        let at = self.buf.len();
        self.attr(kind, &[]);
        fill(self);
        let len = (self.buf.len() - at) as u16;
        self.buf[at..at + 2].copy_from_slice(&len.to_ne_bytes());
        self
    }
    /// The finished message.
    pub fn finish(mut self) -> Vec<u8> {
        let len = (self.buf.len() as u32).to_ne_bytes();
        self.buf[..4].copy_from_slice(&len);
        self.buf
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let mut message = Builder::new(16, NlFlags::REQUEST | NlFlags::ACK, 7, 9, &[1; 16]);
        message.string(3, "eth0").u32(4, 1500);
        message.nest(18, |nest| {
            nest.string(1, "veth");
        });
        let bytes = message.finish();
        let (header, payload, rest) = Header::split(&bytes).unwrap();
        assert_eq!((header.kind, header.seq, header.pid), (16, 7, 9));
        assert!(rest.is_empty());
        let attrs = Attrs::after(payload, 16).unwrap();
        assert_eq!(attrs.string(3), Some(&b"eth0"[..]));
        assert_eq!(attrs.u32(4).unwrap(), Some(1500));
        let nest = attrs.nest(18).unwrap().unwrap();
        assert_eq!(nest.string(1), Some(&b"veth"[..]));
    }

    #[test]
    fn nonsense_is_refused() {
        for len in 0..64usize {
            for seed in 0..200u32 {
                let bytes: Vec<u8> = (0..len)
                    .map(|n| (seed.wrapping_mul(2654435761).rotate_left(n as u32) >> 7) as u8)
                    .collect();
                if let Some((_, payload, _)) = Header::split(&bytes)
                    && let Ok(attrs) = Attrs::after(payload, 16)
                {
                    assert!(attrs.iter().count() < 16);
                }
                if let Ok(attrs) = Attrs::new(&bytes) {
                    let _ = attrs.nest(1);
                }
            }
        }
    }
}
