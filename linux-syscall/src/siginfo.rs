//! A signal's record as the receiver sees it: pids and uids become numbers of *its* namespaces.

use alloc::sync::Arc;

use linux_object::task::{SigInfo, SigInfoFields, Task};

use crate::abi;

/// Nanoseconds in a clock tick of `times(2)`.
const TICK: u64 = 10_000_000;

fn pair(low: i32, high: u32) -> u64 {
    u64::from(low as u32) | u64::from(high) << 32
}

/// `siginfo_t` for `reader`.
pub fn to_user(reader: &Arc<Task>, info: &SigInfo) -> abi::SigInfo {
    let mut out = abi::SigInfo {
        signo: info.signal.nr().into(),
        errno: info.errno,
        code: info.code,
        ..Default::default()
    };
    let shown = |uid| reader.cred().user_ns.from_kuid_munged(uid).0;
    match &info.fields {
        SigInfoFields::Kernel => {}
        SigInfoFields::Sender { pid, uid, value } => {
            let nr = pid.as_ref().map_or(0, |pid| pid.nr_in(reader.pid_ns()).0);
            out.fields[0] = pair(nr, shown(*uid));
            out.fields[1] = *value;
        }
        SigInfoFields::Child {
            pid,
            uid,
            status,
            utime,
            stime,
        } => {
            out.fields[0] = pair(pid.nr_in(reader.pid_ns()).0, shown(*uid));
            out.fields[1] = pair(*status, 0);
            out.fields[2] = utime / TICK;
            out.fields[3] = stime / TICK;
        }
        SigInfoFields::Fault { addr, .. } => out.fields[0] = addr.0,
        SigInfoFields::Timer { id, overrun, value } => {
            out.fields[0] = pair(*id, *overrun as u32);
            out.fields[1] = *value;
        }
        SigInfoFields::Poll { band, fd } => {
            out.fields[0] = *band as u64;
            out.fields[1] = pair(*fd, 0);
        }
        SigInfoFields::Sys {
            call_addr,
            syscall,
            arch,
        } => {
            out.fields[0] = call_addr.0;
            out.fields[1] = pair(*syscall, *arch);
        }
        SigInfoFields::Raw(bytes) => {
            for (word, bytes) in out.fields.iter_mut().zip(bytes.chunks_exact(8)) {
                let mut array = [0; 8];
                array.copy_from_slice(bytes);
                *word = u64::from_le_bytes(array);
            }
        }
    }
    out
}
