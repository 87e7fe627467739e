//! What filters log: Linux's audit record 1326 (`AUDIT_SECCOMP`), as it appears in the kernel's log when
//! no audit daemon runs.

use alloc::string::String;
use core::sync::atomic::{AtomicU64, Ordering};

use super::{ARCH, Answer, Data};
use crate::fs::d_path::d_path;
use crate::task::{Signal, Task};

/// Records per [`WINDOW`], so that a program cannot fill the log.
const BURST: u64 = 10;
/// Nanoseconds.
const WINDOW: u64 = 5_000_000_000;

/// Numbers records and counts them.
#[derive(Default)]
pub struct SeccompLog {
    serial: AtomicU64,
    window: AtomicU64,
    in_window: AtomicU64,
}

impl SeccompLog {
    fn may_log(&self, now: u64) -> bool {
        let window = self.window.load(Ordering::Relaxed);
        if now >= window + WINDOW || window == 0 {
            self.window.store(now, Ordering::Relaxed);
            self.in_window.store(0, Ordering::Relaxed);
        }
        self.in_window.fetch_add(1, Ordering::Relaxed) < BURST
    }
}

/// Logs what happens with a call of the calling task.
pub fn log(task: &Task, data: &Data, answer: Answer, signal: Option<Signal>) {
    let kernel = task.kernel();
    let log = &kernel.seccomp_log;
    if !log.may_log(kernel.hal.now().0) {
        return;
    }
    let serial = log.serial.fetch_add(1, Ordering::Relaxed) + 1;
    let cred = task.cred();
    let comm = task.comm();
    let len = comm.iter().position(|&byte| byte == 0).unwrap_or(comm.len());
    let millis = kernel.time.realtime() / 1_000_000;
    let exe = task.try_mm().and_then(|mm| mm.exe_file());
    let exe = exe.map_or_else(|| b"?".to_vec(), |file| d_path(&file.path, &task.fs().root()));
    log::info!(
        "audit: type=1326 audit({}.{:03}:{serial}): auid=4294967295 uid={} gid={} ses=4294967295 pid={} \
         comm=\"{}\" exe=\"{}\" sig={} arch={ARCH:x} syscall={} compat=0 ip={:#x} code={:#x}",
        millis / 1000,
        millis % 1000,
        cred.uid.0,
        cred.gid.0,
        task.pid().global_nr(),
        String::from_utf8_lossy(&comm[..len]),
        String::from_utf8_lossy(&exe),
        signal.map_or(0, Signal::nr),
        data.nr,
        data.instruction_pointer,
        answer.0,
    );
}
