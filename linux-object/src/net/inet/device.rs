//! The device that a socket is bound to: `SO_BINDTODEVICE`, `SO_BINDTOIFINDEX` (`socket(7)`).

use alloc::vec::Vec;

use super::options::int;
use crate::cred::Capability;
use crate::error::Result;
use crate::net::stack::NetStack;
use crate::task::Task;
use crate::{ensure, err};

/// `SOL_SOCKET`.
const SOL_SOCKET: i32 = 1;
const SO_BINDTODEVICE: i32 = 25;
const SO_BINDTOIFINDEX: i32 = 62;
/// `IFNAMSIZ`.
const NAME_SIZE: usize = 16;

/// Whether an option is one of these.
pub fn is_option(level: i32, name: i32) -> bool {
    level == SOL_SOCKET && matches!(name, SO_BINDTODEVICE | SO_BINDTOIFINDEX)
}

/// What to bind a socket to that is bound to `old`; 0 is no device. `EPERM`: another than the first takes
/// `CAP_NET_RAW`; `ENODEV`; `EINVAL`.
pub fn set(task: &Task, stack: &NetStack, old: u32, name: i32, value: &[u8]) -> Result<u32> {
    let new = if name == SO_BINDTOIFINDEX {
        ensure!(value.len() >= 4, EINVAL, "SO_BINDTOIFINDEX: an int");
        int(value)?
    } else {
        let value = &value[..value.len().min(NAME_SIZE - 1)];
        let end = value.iter().position(|&c| c == 0).unwrap_or(value.len());
        match core::str::from_utf8(&value[..end]).map_err(|_| err!(ENODEV))? {
            "" => 0,
            name => stack.lock().by_name(name).ok_or(err!(ENODEV))? as i32,
        }
    };
    ensure!(
        old == 0 || task.cred().ns_capable(&stack.user_ns, Capability::NET_RAW),
        EPERM,
        "another device takes CAP_NET_RAW"
    );
    u32::try_from(new).map_err(|_| err!(EINVAL, "SO_BINDTOIFINDEX: a negative number"))
}

/// The device that a socket is bound to, for a caller with room for `room` bytes. `ENODEV`: it is gone.
pub fn get(stack: &NetStack, bound: u32, name: i32, room: usize) -> Result<Vec<u8>> {
    if name == SO_BINDTOIFINDEX {
        return Ok(bound.to_ne_bytes().to_vec());
    }
    if bound == 0 {
        return Ok(Vec::new());
    }
    ensure!(room >= NAME_SIZE, EINVAL, "SO_BINDTODEVICE: room for any name");
    let device = stack.lock().devices.get(&bound).map(|device| device.name.clone());
    let mut name = device.ok_or(err!(ENODEV, "the device is gone"))?.into_bytes();
    name.push(0);
    Ok(name)
}
