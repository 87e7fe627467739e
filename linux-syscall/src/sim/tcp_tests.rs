//! TCP within a machine: whatever the CPUs do, every byte arrives once, in order, and nothing is sent again.

use alloc::vec::Vec;

use super::{Sys, each_seed};

const SOCKET: u64 = 41;
const CONNECT: u64 = 42;
const ACCEPT: u64 = 43;
const SENDTO: u64 = 44;
const SHUTDOWN: u64 = 48;
const BIND: u64 = 49;
const LISTEN: u64 = 50;
const GETSOCKOPT: u64 = 55;

const AF_INET: u64 = 2;
const AF_NETLINK: u64 = 16;
const AF_PACKET: u64 = 17;
const STREAM: u64 = 1;
const RAW: u64 = 3;

/// A stream's byte at a place.
fn byte(seed: u8, at: usize) -> u8 {
    (at as u32).wrapping_mul(0x9e37_79b1).to_be_bytes()[0] ^ seed
}

fn loopback_up(sys: &Sys<'_>) {
    let route = sys.must(SOCKET, &[AF_NETLINK, RAW, 0]);
    // RTM_NEWLINK of device 1 with IFF_UP.
    let mut up = 32u32.to_ne_bytes().to_vec();
    up.extend_from_slice(&[16, 0, 1, 0, 1, 0, 0, 0, 0, 0, 0, 0]);
    up.extend_from_slice(&[0, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0]);
    let at = sys.word(100);
    sys.user().write(at, &up);
    sys.must(SENDTO, &[route, at, up.len() as u64, 0, 0, 0]);
    sys.close(route);
}

/// 127.0.0.1 with a port.
fn address(sys: &Sys<'_>, port: u8) -> u64 {
    let at = sys.word(100);
    let mut addr = [0; 16];
    addr[..8].copy_from_slice(&[AF_INET as u8, 0, 0, port, 127, 0, 0, 1]);
    sys.user().write(at, &addr);
    at
}

/// Both ends of a connection over loopback.
fn connection(sys: &Sys<'_>, port: u8) -> (u64, u64) {
    let listener = sys.must(SOCKET, &[AF_INET, STREAM, 0]);
    sys.must(BIND, &[listener, address(sys, port), 16]);
    sys.must(LISTEN, &[listener, 1]);
    let client = sys.must(SOCKET, &[AF_INET, STREAM, 0]);
    sys.must(CONNECT, &[client, address(sys, port), 16]);
    let server = sys.must(ACCEPT, &[listener, 0, 0]);
    sys.close(listener);
    (client, server)
}

fn send_all(sys: &Sys<'_>, fd: u64, seed: u8, total: usize, piece: usize) {
    let mut at = 0;
    while at < total {
        let len = piece.min(total - at);
        let bytes: Vec<u8> = (at..at + len).map(|at| byte(seed, at)).collect();
        let n = sys.write(fd, &bytes);
        assert!(n > 0, "write answers {n}");
        at += n as usize;
    }
    sys.must(SHUTDOWN, &[fd, 1]);
}

fn receive_all(sys: &Sys<'_>, fd: u64, seed: u8, total: usize, piece: usize) {
    let mut at = 0;
    loop {
        let bytes = sys.read(fd, piece).expect("the connection is there");
        if bytes.is_empty() {
            break;
        }
        for (n, &have) in bytes.iter().enumerate() {
            assert_eq!(have, byte(seed, at + n), "the byte at {}", at + n);
        }
        at += bytes.len();
    }
    assert_eq!(at, total, "the stream's length");
}

/// `tcpi_total_retrans`, and segments that came in (`tcpi_segs_in`).
fn info(sys: &Sys<'_>, fd: u64) -> (u32, u32) {
    let (at, len) = (sys.word(200), sys.word(199));
    sys.poke(len, 232);
    sys.must(GETSOCKOPT, &[fd, 6, 11, at, len]);
    (sys.peek(at + 100), sys.peek(at + 140))
}

/// Two streams in opposite directions, each with a writer and a reader of its own.
fn exchange(sys: &Sys<'_>, port: u8, total: usize, pieces: [usize; 2]) {
    let (client, server) = connection(sys, port);
    let mut children = Vec::new();
    for (fd, seed, write) in [
        (client, 1, true),
        (server, 2, true),
        (server, 1, false),
        (client, 2, false),
    ] {
        children.push(sys.fork(move |sys| {
            match write {
                true => send_all(sys, fd, seed, total, pieces[0]),
                false => receive_all(sys, fd, seed, total, pieces[1]),
            }
            0
        }));
    }
    for child in children {
        assert_eq!(sys.waitpid(child), (child, 0));
    }
    for fd in [client, server] {
        let (again, came) = info(sys, fd);
        assert_eq!(again, 0, "segments that were sent again");
        assert!(came > 2, "only {came} segments");
        sys.close(fd);
    }
}

#[test]
fn streams_both_ways_arrive_once_and_in_order() {
    each_seed(16, |sys| {
        loopback_up(sys);
        exchange(sys, 80, 300_000, [16384, 9_999]);
        exchange(sys, 81, 20_000, [700, 333]);
    });
}

/// Somebody comes to look at the packets and goes again: segments take the direct way, or become frames.
#[test]
fn segments_keep_their_order_when_somebody_looks() {
    each_seed(16, |sys| {
        loopback_up(sys);
        let watcher = sys.fork(|sys| {
            loop {
                let fd = sys.must(SOCKET, &[AF_PACKET, RAW, 0x0300]);
                sys.sleep(3000);
                sys.close(fd);
                sys.sleep(3000);
            }
        });
        exchange(sys, 80, 100_000, [16384, 40_000]);
        exchange(sys, 81, 20_000, [700, 333]);
        sys.kill(watcher, 9);
        assert_eq!(sys.waitpid(watcher), (watcher, 9));
    });
}
