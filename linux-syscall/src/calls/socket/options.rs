//! `setsockopt(2)` and `getsockopt(2)`.

use linux_object::ensure;
use linux_object::error::Result;
use linux_object::ids::Fd;
use linux_object::net::{SOL_SOCKET, SockOption, socket_of, sol_socket};

use super::socket_file;
use crate::context::Cx;
use crate::user_ptr::{UserInPtr, UserOutPtr, UserPtr};

/// `sizeof(struct sock_filter)`.
const INSTRUCTION: usize = 8;
/// No option is longer.
const OPTION_MAX: usize = 16384;

/// `setsockopt(2)`.
pub fn setsockopt(
    cx: &mut Cx<'_>,
    sockfd: Fd,
    level: i32,
    optname: i32,
    optval: UserInPtr<u8>,
    optlen: u32,
) -> Result<usize> {
    ensure!(optlen as i32 >= 0, EINVAL, "a negative length");
    let file = socket_file(cx, sockfd)?;
    let socket = &**socket_of(&file)?;
    let value = optval.read_bytes(cx, (optlen as usize).min(OPTION_MAX))?;
    if level == SOL_SOCKET {
        sol_socket::set(socket, cx.task, optname, &value)?;
    } else {
        socket.set_option(cx.task, level, optname, &value)?;
    }
    Ok(0)
}

/// `getsockopt(2)`.
pub fn getsockopt(
    cx: &mut Cx<'_>,
    sockfd: Fd,
    level: i32,
    optname: i32,
    optval: UserOutPtr<u8>,
    optlen: UserPtr<u32>,
) -> Result<usize> {
    let file = socket_file(cx, sockfd)?;
    let socket = &**socket_of(&file)?;
    let room = optlen.read(cx)? as i32;
    ensure!(room >= 0, EINVAL, "a negative length");
    let room = room as usize;
    if (level, optname) == (SOL_SOCKET, SockOption::AttachFilter as i32) {
        // Alone of all options its length is a number of instructions.
        let code = sol_socket::filter(socket);
        let count = code.len() / INSTRUCTION;
        if room > 0 && count > 0 {
            ensure!(room >= count, EINVAL, "the filter is longer");
            optval.write_slice(cx, &code)?;
        }
        optlen.write(cx, &(count as u32))?;
        return Ok(0);
    }
    let value = if socket.is_asked(level, optname) {
        let asked = UserInPtr::<u8>::new(optval.addr()).read_bytes(cx, room.min(OPTION_MAX))?;
        socket.get_asked(level, optname, &asked)?
    } else if level == SOL_SOCKET {
        sol_socket::get(socket, cx.task, optname, room)?
    } else {
        socket.get_option(cx.task, level, optname, room)?
    };
    let part = &value[..value.len().min(room)];
    optval.write_slice(cx, part)?;
    optlen.write(cx, &(part.len() as u32))?;
    Ok(0)
}
