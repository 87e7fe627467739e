//! The options of a TCP socket (`tcp(7)`).

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::net::IpAddr;
use core::time::Duration;

use smoltcp::socket::tcp::State as TcpState;

use super::engine::Engine;
use super::keepalive::KeepAlive;
use super::socket::{Phase, TcpSocket};
use crate::error::Result;
use crate::ids::UserAddr;
use crate::net::RecvMsg;
use crate::net::inet::options::int;
use crate::net::inet::{device, ifreq, membership};
use crate::net::stack::NetSysctls;
use crate::task::Task;
use crate::time::Ktime;
use crate::{bail, ensure};

const SOL_TCP: i32 = 6;
const TCP_NODELAY: i32 = 1;
const TCP_MAXSEG: i32 = 2;
const TCP_CORK: i32 = 3;
const TCP_KEEPIDLE: i32 = 4;
const TCP_KEEPINTVL: i32 = 5;
const TCP_KEEPCNT: i32 = 6;
const TCP_SYNCNT: i32 = 7;
const TCP_LINGER2: i32 = 8;
const TCP_DEFER_ACCEPT: i32 = 9;
const TCP_INFO: i32 = 11;
const TCP_QUICKACK: i32 = 12;
const TCP_USER_TIMEOUT: i32 = 18;
/// `TCP_FIN_TIMEOUT_MAX` in seconds.
const MAX_LINGER2: i32 = 120;
/// `TCP_INQ`, and the message that it adds to what is received (`TCP_CM_INQ`).
const TCP_INQ: i32 = 36;
const SIOCATMARK: u32 = 0x8905;
/// What a segment holds at least where it is limited (`TCP_MIN_MSS`), and at most (`MAX_TCP_WINDOW`).
const MAXSEG: core::ops::RangeInclusive<i32> = 88..=32767;
/// Seconds between two attempts at most (`TCP_RTO_MAX`).
const LONGEST_RTO: u64 = 120;

/// What a program sets of a TCP socket. A connection begins with what its listener has.
#[derive(Clone, Debug)]
pub(super) struct TcpOptions {
    pub nodelay: bool,
    pub cork: bool,
    /// `TCP_QUICKACK`, if it was asked for.
    quick_ack: Option<bool>,
    pub inq: bool,
    pub keepalive: KeepAlive,
    /// Seconds; 0: the namespace's.
    pub linger2: i32,
    /// Milliseconds; 0: as long as it is tried.
    pub user_timeout: u32,
    /// Attempts after the first; 0: the namespace's.
    syn_count: i32,
    /// 0: what the device takes.
    max_seg: i32,
    /// Attempts whose time a connection without data is kept back for.
    defer_accept: u32,
}

/// How long so many attempts take, in seconds, the first one second.
fn time_of(attempts: u32) -> u64 {
    (0..attempts).map(|n| (1 << n.min(7)).min(LONGEST_RTO)).sum()
}

impl TcpOptions {
    pub fn new(sysctl: &NetSysctls) -> TcpOptions {
        TcpOptions {
            nodelay: false,
            cork: false,
            quick_ack: None,
            inq: false,
            keepalive: KeepAlive::new(
                sysctl.tcp_keepalive_time.get() as u32,
                sysctl.tcp_keepalive_intvl.get() as u32,
                sysctl.tcp_keepalive_probes.get() as u32,
            ),
            linger2: 0,
            user_timeout: 0,
            syn_count: 0,
            max_seg: 0,
            defer_accept: 0,
        }
    }
    /// Tells a new connection.
    pub fn apply(&self, engine: &mut Engine) {
        engine.set_nagle(!self.nodelay);
        if let Some(on) = self.quick_ack {
            engine.set_quick_ack(on);
        }
    }
    /// The MTU that keeps segments as short as asked.
    pub fn narrowed(&self, mtu: u32, local: IpAddr) -> u32 {
        let headers = if local.is_ipv6() { 60 } else { 40 };
        match self.max_seg {
            0 => mtu,
            most => mtu.min(most as u32 + headers),
        }
    }
    /// Milliseconds after which an attempt to connect is given up.
    pub fn connect_timeout(&self, sysctl: &NetSysctls) -> u64 {
        let retries = match self.syn_count {
            0 => sysctl.tcp_syn_retries.get() as u32,
            count => count as u32,
        };
        let most = time_of(retries + 1) * 1000;
        match self.user_timeout {
            0 => most,
            ms => most.min(ms.into()),
        }
    }
    /// Until when a connection is kept back that begins now.
    pub fn defer_until(&self, now: Ktime) -> Option<Ktime> {
        (self.defer_accept > 0).then(|| now + Duration::from_secs(time_of(self.defer_accept)))
    }
}

impl TcpSocket {
    /// `setsockopt(2)`.
    pub(super) fn set(&self, task: &Arc<Task>, level: i32, name: i32, value: &[u8]) -> Result<()> {
        let mut state = self.state.lock();
        if level != SOL_TCP {
            if device::is_option(level, name) {
                state.ifindex = device::set(task, &self.stack, state.ifindex, name, value)?;
                return Ok(());
            }
            membership::refuse_stream(level, name)?;
            let set = state.options.set(self.v6, level, name, value)?;
            ensure!(set, ENOPROTOOPT, "there is no such option");
            return Ok(());
        }
        ensure!(value.len() >= 4, EINVAL, "the option is an int");
        let number = int(value)?;
        match name {
            TCP_NODELAY | TCP_CORK => {
                let ends = match name {
                    TCP_NODELAY => number != 0,
                    _ => number == 0,
                };
                match name {
                    TCP_NODELAY => state.tcp.nodelay = number != 0,
                    _ => state.tcp.cork = number != 0,
                }
                let nagle = !state.tcp.nodelay;
                if let Phase::Connected(engine) = &mut state.phase {
                    engine.set_nagle(nagle);
                    if ends {
                        engine.uncork();
                        drop(state);
                        self.drive_now();
                    }
                }
            }
            TCP_MAXSEG => {
                let fits = number == 0 || MAXSEG.contains(&number);
                ensure!(fits, EINVAL, "segments of 88 to 32767 bytes");
                state.tcp.max_seg = number;
            }
            TCP_SYNCNT => {
                ensure!((1..=127).contains(&number), EINVAL, "1 to 127 attempts");
                state.tcp.syn_count = number;
            }
            TCP_DEFER_ACCEPT => {
                let seconds = number.max(0) as u64;
                let enough = (0..=255).find(|&attempts| time_of(attempts) >= seconds);
                state.tcp.defer_accept = enough.unwrap_or(255);
            }
            TCP_QUICKACK => {
                let on = number & 1 != 0;
                state.tcp.quick_ack = Some(on);
                if let Phase::Connected(engine) = &mut state.phase {
                    engine.set_quick_ack(on);
                    drop(state);
                    self.drive_now();
                }
            }
            TCP_USER_TIMEOUT => {
                ensure!(number >= 0, EINVAL, "milliseconds");
                state.tcp.user_timeout = number as u32;
                let was_up = state.was_up;
                if let Phase::Connected(engine) = &mut state.phase
                    && was_up
                {
                    engine.set_timeout(number as u64);
                }
                drop(state);
                self.drive_now();
            }
            TCP_LINGER2 => state.tcp.linger2 = number.clamp(-1, MAX_LINGER2),
            TCP_INQ => {
                ensure!((0..=1).contains(&number), EINVAL, "on or off");
                state.tcp.inq = number != 0;
            }
            TCP_KEEPIDLE | TCP_KEEPINTVL | TCP_KEEPCNT => {
                let most = if name == TCP_KEEPCNT { 127 } else { 32767 };
                ensure!((1..=most).contains(&number), EINVAL, "the option's range");
                let keep = &mut state.tcp.keepalive;
                *match name {
                    TCP_KEEPIDLE => &mut keep.idle,
                    TCP_KEEPINTVL => &mut keep.interval,
                    _ => &mut keep.count,
                } = number as u32;
                drop(state);
                self.drive_now();
            }
            _ => bail!(ENOPROTOOPT, "there is no such option"),
        }
        Ok(())
    }

    /// `getsockopt(2)`.
    pub(super) fn get(&self, level: i32, name: i32, room: usize) -> Result<Vec<u8>> {
        let mut state = self.state.lock();
        if device::is_option(level, name) {
            return device::get(&self.stack, state.ifindex, name, room);
        }
        if level != SOL_TCP {
            return state.options.get(self.v6, level, name);
        }
        let number = match name {
            TCP_INFO => return Ok(state.tcp_info(self.now())),
            TCP_NODELAY => state.tcp.nodelay as i32,
            TCP_CORK => state.tcp.cork as i32,
            TCP_SYNCNT if state.tcp.syn_count == 0 => self.stack.sysctl.tcp_syn_retries.get() as i32,
            TCP_SYNCNT => state.tcp.syn_count,
            TCP_DEFER_ACCEPT => time_of(state.tcp.defer_accept) as i32,
            TCP_QUICKACK => state.tcp.quick_ack.unwrap_or(true) as i32,
            TCP_USER_TIMEOUT => state.tcp.user_timeout as i32,
            TCP_MAXSEG => match &state.phase {
                Phase::Connected(engine) => engine.stats.mss() as i32,
                // What a connection that offers nothing is given.
                _ if state.tcp.max_seg == 0 => 536,
                _ => state.tcp.max_seg,
            },
            TCP_LINGER2 if state.tcp.linger2 == 0 => self.stack.sysctl.tcp_fin_timeout.get() as i32,
            TCP_LINGER2 => state.tcp.linger2,
            TCP_INQ => state.tcp.inq as i32,
            TCP_KEEPIDLE => state.tcp.keepalive.idle as i32,
            TCP_KEEPINTVL => state.tcp.keepalive.interval as i32,
            TCP_KEEPCNT => state.tcp.keepalive.count as i32,
            _ => bail!(ENOPROTOOPT, "there is no such option"),
        };
        Ok(number.to_ne_bytes().to_vec())
    }

    /// What `TCP_INQ` adds: bytes that are left, and one for the end if it has come.
    pub(super) fn tell_left(&self, msg: &mut RecvMsg<'_>) {
        let mut state = self.state.lock();
        if !state.tcp.inq {
            return;
        }
        if let Phase::Connected(engine) = &mut state.phase {
            let socket = engine.socket();
            let ended = matches!(
                socket.state(),
                TcpState::CloseWait | TcpState::LastAck | TcpState::Closing | TcpState::TimeWait
            );
            let left = socket.recv_queue() as i32 + ended as i32;
            msg.control.push((SOL_TCP, TCP_INQ, left.to_ne_bytes().to_vec()));
        }
    }

    /// `ioctl(2)`.
    pub(super) fn control(&self, task: &Arc<Task>, cmd: u32, arg: UserAddr) -> Result<usize> {
        let number = {
            let mut state = self.state.lock();
            match (cmd, &mut state.phase) {
                (0x541b, Phase::Listening { .. }) => bail!(EINVAL, "the socket listens"),
                (0x541b, Phase::Connected(engine)) => {
                    let inline = self.is_inline();
                    let before = engine.before_mark().filter(|_| !inline).unwrap_or(usize::MAX);
                    engine.socket().recv_queue().min(before)
                }
                (SIOCATMARK, Phase::Connected(engine)) => (engine.before_mark() == Some(0)) as usize,
                (SIOCATMARK, _) => 0,
                (0x5411, Phase::Connected(engine)) => engine.send_queue(),
                (0x541b | 0x5411, _) => 0,
                _ => {
                    drop(state);
                    return ifreq::ioctl(task, &self.ns()?, cmd, arg);
                }
            }
        };
        task.kernel()
            .hal
            .copy_to_user(arg, &(number as i32).to_ne_bytes())?;
        Ok(0)
    }
}
