//! The options of a datagram socket (`udp(7)`, `raw(7)`, `icmp(7)`).

use alloc::sync::Arc;
use alloc::vec::Vec;

use super::DatagramSocket;
use crate::ensure;
use crate::error::Result;
use crate::ids::UserAddr;
use crate::net::inet::options::{SOL_IP, SOL_IPV6, int};
use crate::net::inet::{device, ifreq, membership, proto};
use crate::net::stack::Run;
use crate::task::Task;

const SOL_RAW: i32 = 255;
const IPV6_CHECKSUM: i32 = 7;
const SOL_ICMPV6: i32 = 58;
const ICMP_FILTER: i32 = 1;
const IP_MULTICAST_IF: i32 = 32;
const IPV6_MULTICAST_IF: i32 = 17;

impl DatagramSocket {
    /// `setsockopt(2)`.
    pub(super) fn set(&self, task: &Arc<Task>, level: i32, name: i32, value: &[u8]) -> Result<()> {
        match (level, name) {
            (1, 29) => {
                self.state.lock().timestamp = int(value)? != 0;
                return Ok(());
            }
            _ if device::is_option(level, name) => return self.bind_to_device(task, name, value),
            (SOL_RAW, ICMP_FILTER) => {
                ensure!(
                    self.is_raw() && self.proto == proto::ICMP,
                    EOPNOTSUPP,
                    "ICMP_FILTER is for raw ICMP"
                );
                self.state.lock().filter = int(value)? as u32;
                return Ok(());
            }
            (SOL_ICMPV6, 1) => {
                ensure!(self.is_raw() && self.proto == proto::ICMPV6, ENOPROTOOPT);
                let mut state = self.state.lock();
                for (word, bytes) in state.filter6.iter_mut().zip(value.chunks_exact(4)) {
                    *word = u32::from_ne_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
                }
                return Ok(());
            }
            (SOL_IPV6 | SOL_RAW, IPV6_CHECKSUM) if self.is_raw() && self.v6 => {
                let offset = exact_int(value)?;
                ensure!(
                    self.proto != proto::ICMPV6 || level == SOL_RAW,
                    EINVAL,
                    "ICMPv6 has its checksum where it is"
                );
                ensure!(offset <= 0 || offset & 1 == 0, EINVAL, "the offset is odd");
                self.state.lock().checksum = u16::try_from(offset).ok();
                return Ok(());
            }
            _ => {}
        }
        if membership::is_option(level, name) && (self.v6 || level == SOL_IP) {
            return self.set_groups(level, name, value);
        }
        let set = self.state.lock().options.set(self.v6, level, name, value)?;
        ensure!(set, ENOPROTOOPT, "there is no such option");
        Ok(())
    }

    /// What concerns groups.
    fn set_groups(&self, level: i32, name: i32, value: &[u8]) -> Result<()> {
        let mut run = Run::new();
        let result = {
            let mut state = self.state.lock();
            let state = &mut *state;
            self.ns.stack().enter(&mut run, |net| match (level, name) {
                (SOL_IP, IP_MULTICAST_IF) | (SOL_IPV6, IPV6_MULTICAST_IF) => {
                    let (ifindex, addr) = membership::send_through(net, level, value, state.ifindex)?;
                    match level {
                        SOL_IP => (state.options.mc_if, state.options.mc_addr) = (ifindex, addr),
                        _ => state.options.mc_if6 = ifindex,
                    }
                    Ok(())
                }
                _ => state.groups.set(net, level, name, value),
            })
        };
        run.finish();
        result
    }

    /// `getsockopt(2)`.
    pub(super) fn get(&self, level: i32, name: i32, room: usize) -> Result<Vec<u8>> {
        let state = self.state.lock();
        match (level, name) {
            _ if device::is_option(level, name) => device::get(self.ns.stack(), state.ifindex, name, room),
            (1, 29) => Ok((state.timestamp as i32).to_ne_bytes().to_vec()),
            (SOL_RAW, ICMP_FILTER) => Ok(state.filter.to_ne_bytes().to_vec()),
            (SOL_IPV6 | SOL_RAW, IPV6_CHECKSUM) if self.is_raw() && self.v6 => {
                let offset = state.checksum.map_or(-1, i32::from);
                Ok(offset.to_ne_bytes().to_vec())
            }
            _ => state.options.get(self.v6, level, name),
        }
    }

    /// `ioctl(2)`.
    pub(super) fn control(&self, task: &Arc<Task>, cmd: u32, arg: UserAddr) -> Result<usize> {
        let number = match cmd {
            0x541b => self
                .state
                .lock()
                .queue
                .front()
                .map_or(0, |first| first.data.len()),
            0x5411 => 0,
            _ => return ifreq::ioctl(task, &self.ns, cmd, arg),
        };
        task.kernel()
            .hal
            .copy_to_user(arg, &(number as i32).to_ne_bytes())?;
        Ok(0)
    }
}

/// An option that is an int and nothing shorter.
fn exact_int(value: &[u8]) -> Result<i32> {
    ensure!(value.len() >= 4, EINVAL, "the option is an int");
    int(value)
}
