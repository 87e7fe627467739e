//! Whatever programs send to netlink, and whatever arrives from a wire, harms nobody.

use alloc::vec::Vec;

use super::{Sys, each_seed};

const SOCKET: u64 = 41;
const SENDTO: u64 = 44;
const GETPID: u64 = 39;
const AF_NETLINK: u64 = 16;
const AF_PACKET: u64 = 17;
const RAW_NONBLOCK: u64 = 3 | 0x800;
const EAGAIN: i64 = -11;

struct Random(u64);

impl Random {
    fn next(&mut self) -> u32 {
        // xorshift64*
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32) as u32
    }
    fn below(&mut self, n: u32) -> u32 {
        self.next() % n
    }
    /// A number that is often one that means something.
    fn number(&mut self) -> u32 {
        const LIKELY: [u32; 10] = [0, 1, 2, 3, 10, 254, 255, 1500, 0x7fff_ffff, u32::MAX];
        match self.below(3) {
            0 => self.next(),
            1 => self.below(64),
            _ => LIKELY[self.below(LIKELY.len() as u32) as usize],
        }
    }
    fn name(&mut self) -> Vec<u8> {
        const NAMES: [&[u8]; 12] = [
            b"lo\0",
            b"v0\0",
            b"v1\0",
            b"br0\0",
            b"d%d\0",
            b"veth\0",
            b"bridge\0",
            b"dummy\0",
            b"tun\0",
            b"a name that is far too long for a device\0",
            b"",
            b"x/y",
        ];
        NAMES[self.below(NAMES.len() as u32) as usize].to_vec()
    }
}

/// Attributes, most of them well-formed, some of them nested.
fn attributes(random: &mut Random, depth: u32) -> Vec<u8> {
    let mut out = Vec::new();
    for _ in 0..random.below(6) {
        let content = match random.below(6) {
            0 if depth > 0 => attributes(random, depth - 1),
            0 | 1 => random.name(),
            2 => random.number().to_ne_bytes().to_vec(),
            3 => [10, 0, 0, random.below(4) as u8].to_vec(),
            4 => (0..16).map(|_| random.below(3) as u8).collect(),
            _ => (0..random.below(40)).map(|_| random.next() as u8).collect(),
        };
        let mut len = content.len() as u16 + 4;
        if random.below(20) == 0 {
            len = random.next() as u16;
        }
        let nested = if random.below(8) == 0 { 0x8000 } else { 0 };
        let kind = random.below(64) as u16 | nested;
        out.extend_from_slice(&len.to_ne_bytes());
        out.extend_from_slice(&kind.to_ne_bytes());
        out.extend_from_slice(&content);
        out.resize(out.len().next_multiple_of(4), 0);
    }
    out
}

fn message(random: &mut Random, route: bool) -> Vec<u8> {
    const FLAGS: [u16; 8] = [1, 5, 0x301, 0x305, 0x605, 0x405, 0x105, 0x205];
    const FAMILIES: [u8; 6] = [0, 1, 2, 7, 10, 16];
    let kind = match (route, random.below(10)) {
        (_, 0) => random.next() as u16,
        (true, _) => 16 + random.below(90) as u16,
        _ => 16 + random.below(6) as u16,
    };
    let mut payload: Vec<u8> = Vec::new();
    payload.push(FAMILIES[random.below(6) as usize]);
    payload.extend_from_slice(&[
        random.below(130) as u8,
        random.below(8) as u8,
        random.below(255) as u8,
    ]);
    for _ in 0..random.below(14) {
        let word = random.number();
        payload.extend_from_slice(&word.to_ne_bytes());
    }
    payload.extend(attributes(random, 3));
    if random.below(10) == 0 {
        let len = random.below(payload.len() as u32 + 1) as usize;
        payload.truncate(len);
    }
    let mut len = payload.len() as u32 + 16;
    if random.below(20) == 0 {
        len = random.number();
    }
    let mut out = len.to_ne_bytes().to_vec();
    out.extend_from_slice(&kind.to_ne_bytes());
    let flags = FLAGS[random.below(FLAGS.len() as u32) as usize];
    out.extend_from_slice(&flags.to_ne_bytes());
    out.extend_from_slice(&random.next().to_ne_bytes());
    out.extend_from_slice(&0u32.to_ne_bytes());
    out.extend(payload);
    out
}

fn drain(sys: &Sys<'_>, socket: u64) {
    for _ in 0..1000 {
        match sys.read(socket, 4096) {
            Ok(_) => {}
            Err(error) if error == EAGAIN => return,
            Err(_) => {}
        }
    }
    panic!("a socket that never empties");
}

fn send(sys: &Sys<'_>, socket: u64, bytes: &[u8]) {
    let at = sys.word(100);
    sys.user().write(at, bytes);
    sys.call(SENDTO, &[socket, at, bytes.len() as u64, 0, 0, 0]);
}

#[test]
fn malformed_netlink_messages_do_no_harm() {
    each_seed(24, |sys| {
        let seed = sys.call(GETPID, &[]) as u64 ^ sys.call(318, &[sys.word(0), 8, 0]) as u64;
        let drawn = u64::from(sys.peek(sys.word(0)));
        let mut random = Random(drawn << 8 | seed | 1);
        let sockets = [0u64, 4, 16].map(|protocol| {
            let socket = sys.must(SOCKET, &[AF_NETLINK, RAW_NONBLOCK, protocol]);
            (socket, protocol == 0)
        });
        for _ in 0..400 {
            let (socket, route) = sockets[random.below(8).saturating_sub(5) as usize];
            let mut bytes = message(&mut random, route);
            if random.below(6) == 0 {
                bytes.extend(message(&mut random, route));
            }
            send(sys, socket, &bytes);
            drain(sys, socket);
        }
    });
}

#[test]
fn malformed_frames_do_no_harm() {
    each_seed(24, |sys| {
        sys.must(318, &[sys.word(0), 8, 0]);
        let mut random = Random(u64::from(sys.peek(sys.word(0))) << 8 | 1);
        let route = sys.must(SOCKET, &[AF_NETLINK, RAW_NONBLOCK, 0]);
        // RTM_NEWLINK: lo goes up.
        let mut up = 32u32.to_ne_bytes().to_vec();
        up.extend_from_slice(&[16, 0, 5, 0, 1, 0, 0, 0, 0, 0, 0, 0]);
        up.extend_from_slice(&[0, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0]);
        send(sys, route, &up);
        drain(sys, route);
        let tap = sys.must(SOCKET, &[AF_PACKET, RAW_NONBLOCK, 0]);
        let mut to = Vec::from([17, 0, 0, 3, 1, 0, 0, 0, 0, 0, 0, 6]);
        to.resize(20, 0);
        let name = sys.word(60);
        sys.user().write(name, &to);
        for _ in 0..400 {
            let mut frame: Vec<u8> = (0..14 + random.below(120)).map(|_| random.next() as u8).collect();
            frame[..12].fill(0);
            let (kind, version) = [(0x800u16, 0x45), (0x86dd, 0x60), (0x806, 0)][random.below(3) as usize];
            frame[12..14].copy_from_slice(&kind.to_be_bytes());
            if frame.len() >= 54 && version != 0 {
                frame[14] = version;
                let len = frame.len() as u16 - 14;
                if version == 0x45 {
                    frame[16..18].copy_from_slice(&len.to_be_bytes());
                    frame[20] &= 0x3f;
                    frame[23] = [1, 6, 17, 58][random.below(4) as usize];
                    frame[26..34].copy_from_slice(&[127, 0, 0, 1, 127, 0, 0, 1]);
                    frame[24..26].fill(0);
                    let sum: u32 = frame[14..34]
                        .chunks(2)
                        .map(|b| u32::from(b[0]) << 8 | u32::from(b[1]))
                        .sum();
                    let sum = (sum & 0xffff) + (sum >> 16);
                    let sum = !((sum & 0xffff) + (sum >> 16)) as u16;
                    frame[24..26].copy_from_slice(&sum.to_be_bytes());
                } else {
                    frame[18..20].copy_from_slice(&(len - 40).to_be_bytes());
                    frame[20] = [0, 6, 17, 43, 44, 58, 60][random.below(7) as usize];
                    frame[22..53].fill(0);
                    (frame[37], frame[53]) = (1, 1);
                }
            }
            let at = sys.word(100);
            sys.user().write(at, &frame);
            sys.call(SENDTO, &[tap, at, frame.len() as u64, 0, name, 20]);
        }
    });
}
