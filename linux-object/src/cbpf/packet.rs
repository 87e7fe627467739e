//! What a socket's filter sees of a packet.

use super::Input;

/// Where what is known about a packet begins, the network header, and the link header (`SKF_*_OFF`).
const AD_OFF: i32 = -0x1000;
const NET_OFF: i32 = -0x10_0000;
const LL_OFF: i32 = -0x20_0000;
/// `SKF_AD_*`.
const PROTOCOL: i32 = 0;
const PKTTYPE: i32 = 4;
const IFINDEX: i32 = 8;
const HATYPE: i32 = 28;

/// Whether a fixed place is one that a program may load from: all but unknown facts about packets.
pub(super) fn is_known(at: i32) -> bool {
    !(AD_OFF..0).contains(&at) || matches!(at - AD_OFF, PROTOCOL | PKTTYPE | IFINDEX | HATYPE)
}

/// A packet on its way into a socket.
#[derive(Clone, Copy, Default)]
pub struct PacketInput<'a> {
    /// From where the family's filters begin to count.
    pub data: &'a [u8],
    /// From the network header, if there is one.
    pub network: Option<&'a [u8]>,
    /// From the link header, if there is one.
    pub link: Option<&'a [u8]>,
    /// EtherType.
    pub protocol: u16,
    /// `PACKET_*`.
    pub pkttype: u8,
    /// The device that it came in on.
    pub ifindex: u32,
    /// That device's `ARPHRD_*`.
    pub hatype: u16,
}

impl Input for PacketInput<'_> {
    fn load(&self, at: i32, size: u8) -> Option<u32> {
        let (data, at) = match at {
            0.. => (self.data, at),
            AD_OFF.. => {
                return Some(match at - AD_OFF {
                    PROTOCOL => self.protocol.into(),
                    PKTTYPE => self.pkttype.into(),
                    IFINDEX => self.ifindex,
                    HATYPE => self.hatype.into(),
                    _ => return None,
                });
            }
            NET_OFF.. => (self.network?, at - NET_OFF),
            LL_OFF.. => (self.link?, at - LL_OFF),
            _ => return None,
        };
        let at = at as usize;
        let bytes = data.get(at..at.checked_add(size.into())?)?;
        Some(bytes.iter().fold(0, |value, byte| value << 8 | u32::from(*byte)))
    }
    fn packet_len(&self) -> u32 {
        self.data.len() as u32
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Dialect, Program, SockFilter};
    use super::*;

    const fn insn(code: u16, jt: u8, jf: u8, k: u32) -> SockFilter {
        SockFilter { code, jt, jf, k }
    }

    fn run(code: &[SockFilter], input: &PacketInput<'_>) -> u32 {
        Program::check(code, Dialect::Packet).unwrap().run(input)
    }

    #[test]
    fn bytes_are_loaded_and_too_short_a_packet_is_dropped() {
        let data = [0x45, 1, 2, 3, 4, 5];
        let input = PacketInput {
            data: &data,
            ifindex: 7,
            ..PacketInput::default()
        };
        let ret_a = insn(0x16, 0, 0, 0);
        assert_eq!(run(&[insn(0x20, 0, 0, 1), ret_a], &input), 0x0102_0304);
        assert_eq!(run(&[insn(0x28, 0, 0, 4), ret_a], &input), 0x0405);
        assert_eq!(run(&[insn(0x30, 0, 0, 5), ret_a], &input), 5);
        assert_eq!(run(&[insn(0x20, 0, 0, 3), insn(0x06, 0, 0, 9)], &input), 0);
        // X := 4 * 5, A := byte at X - 16.
        let code = [insn(0xb1, 0, 0, 0), insn(0x50, 0, 0, -16i32 as u32), ret_a];
        assert_eq!(run(&code, &input), 4);
        assert_eq!(run(&[insn(0x80, 0, 0, 0), ret_a], &input), 6);
        let ifindex = (AD_OFF + IFINDEX) as u32;
        assert_eq!(run(&[insn(0x20, 0, 0, ifindex), ret_a], &input), 7);
        let unknown = [insn(0x20, 0, 0, (AD_OFF + 1) as u32), ret_a];
        assert!(Program::check(&unknown, Dialect::Packet).is_err());
    }
}
