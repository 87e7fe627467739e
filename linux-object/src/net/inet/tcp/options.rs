//! The options of a TCP socket (`tcp(7)`).

use alloc::sync::Arc;
use alloc::vec::Vec;

use smoltcp::socket::tcp::State as TcpState;

use super::socket::{Phase, TcpSocket};
use crate::error::Result;
use crate::ids::UserAddr;
use crate::net::RecvMsg;
use crate::net::inet::options::int;
use crate::net::inet::{device, ifreq, membership};
use crate::task::Task;
use crate::{bail, ensure};

const SOL_TCP: i32 = 6;
const TCP_NODELAY: i32 = 1;
const TCP_MAXSEG: i32 = 2;
const TCP_INFO: i32 = 11;
const TCP_KEEPIDLE: i32 = 4;
const TCP_KEEPINTVL: i32 = 5;
const TCP_KEEPCNT: i32 = 6;
const TCP_LINGER2: i32 = 8;
/// `TCP_FIN_TIMEOUT_MAX` in seconds.
const MAX_LINGER2: i32 = 120;
/// `TCP_INQ`, and the message that it adds to what is received (`TCP_CM_INQ`).
const TCP_INQ: i32 = 36;
const SIOCATMARK: u32 = 0x8905;

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
            TCP_NODELAY => {
                state.nodelay = number != 0;
                if let Phase::Connected(engine) = &mut state.phase {
                    engine.set_nagle(number == 0);
                }
            }
            TCP_LINGER2 => state.linger2 = number.clamp(-1, MAX_LINGER2),
            TCP_INQ => {
                ensure!((0..=1).contains(&number), EINVAL, "on or off");
                state.inq = number != 0;
            }
            TCP_KEEPIDLE | TCP_KEEPINTVL | TCP_KEEPCNT => {
                let most = if name == TCP_KEEPCNT { 127 } else { 32767 };
                ensure!((1..=most).contains(&number), EINVAL, "the option's range");
                let keep = &mut state.keepalive;
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
            TCP_NODELAY => state.nodelay as i32,
            TCP_MAXSEG => match &state.phase {
                Phase::Connected(engine) => engine.stats.mss() as i32,
                // What a connection that offers nothing is given.
                _ => 536,
            },
            TCP_LINGER2 if state.linger2 == 0 => self.stack.sysctl.tcp_fin_timeout.get() as i32,
            TCP_LINGER2 => state.linger2,
            TCP_INQ => state.inq as i32,
            TCP_KEEPIDLE => state.keepalive.idle as i32,
            TCP_KEEPINTVL => state.keepalive.interval as i32,
            TCP_KEEPCNT => state.keepalive.count as i32,
            _ => bail!(ENOPROTOOPT, "there is no such option"),
        };
        Ok(number.to_ne_bytes().to_vec())
    }

    /// What `TCP_INQ` adds: bytes that are left, and one for the end if it has come.
    pub(super) fn tell_left(&self, msg: &mut RecvMsg<'_>) {
        let mut state = self.state.lock();
        if !state.inq {
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
                (0x5411, Phase::Connected(engine)) => engine.socket().send_queue(),
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
