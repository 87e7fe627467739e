//! The kernel's own strace: `strace=<comm or pid>` on the command line.
//!
//! Each call of a followed task is one line of the kernel log, printed when the call returns:
//! `[12] cat: openat(AT_FDCWD, "/etc/x", O_RDONLY, 0) = -2 ENOENT (why)`. The reason after an errno is
//! the [`Error`](linux_object::error::Error)'s own and never reaches user space. Names and types come
//! from the table of calls.
//!
//! Model: a followed task carries `ThreadFlags::STRACE`, which `Task::follow_strace` sets when the task
//! begins or is given a new name; the system-call path looks at the flag only. Strings are copied
//! like any other user memory, before the call runs; what a call writes is shown afterwards.

mod symbols;

use alloc::string::String;
use core::fmt::{self, Write};

use linux_object::error::Result;
use linux_object::ids::UserAddr;
use linux_object::task::Task;

use crate::context::Cx;
use crate::dispatch::{CallInfo, PointsTo};
use crate::table::CALLS;

/// Bytes of a buffer that are shown.
const SHOWN: usize = 32;
/// Bytes of a string that are shown.
const SHOWN_STRING: usize = 128;

fn comm(task: &Task) -> String {
    let comm = task.comm();
    let len = comm.iter().position(|&byte| byte == 0).unwrap_or(comm.len());
    String::from_utf8_lossy(&comm[..len]).into_owned()
}

/// A call that has begun.
pub struct Trace {
    call: Option<&'static CallInfo>,
    nr: u64,
    args: [u64; 6],
    /// The line up to, and without, the first argument that is known only afterwards.
    line: String,
    /// Arguments that are in `line`.
    printed: usize,
}

/// Begins the line of a call. Calls that do not return are printed at once.
pub fn enter(cx: &Cx<'_>, nr: u64, args: [u64; 6]) -> Trace {
    let call = CALLS
        .binary_search_by_key(&nr, |call| call.nr)
        .ok()
        .map(|at| &CALLS[at]);
    let mut trace = Trace {
        call,
        nr,
        args,
        line: String::new(),
        printed: 0,
    };
    let mut line = String::new();
    let _ = trace.begin(cx, &mut line);
    trace.line = line;
    if matches!(call, Some(call) if ["exit", "exit_group", "rt_sigreturn"].contains(&call.name)) {
        trace.line.push_str(") = ?\n");
        emit(cx, &trace.line);
        trace.line.clear();
    }
    trace
}

impl Trace {
    fn begin(&mut self, cx: &Cx<'_>, line: &mut String) -> fmt::Result {
        write!(line, "[{}] {}: ", cx.task.pid().global_nr(), comm(cx.task))?;
        let Some(call) = self.call else {
            return write!(
                line,
                "syscall_{}({:#x}, {:#x}, {:#x}",
                self.nr, self.args[0], self.args[1], self.args[2]
            );
        };
        write!(line, "{}(", call.name)?;
        for n in 0..call.args.len() {
            if call.args[n].points_to == PointsTo::BytesOut {
                break;
            }
            self.argument(cx, n, None, line)?;
            self.printed = n + 1;
        }
        Ok(())
    }

    /// Prints argument `n`; `written` is how many bytes the call has written.
    fn argument(&self, cx: &Cx<'_>, n: usize, written: Option<usize>, line: &mut String) -> fmt::Result {
        let Some(call) = self.call else { return Ok(()) };
        let (arg, raw) = (&call.args[n], self.args[n]);
        if n > 0 {
            line.push_str(", ");
        }
        if symbols::print(call.name, arg.name, raw, line) {
            return Ok(());
        }
        let shown = match arg.points_to {
            PointsTo::String => string(cx, UserAddr(raw), line),
            PointsTo::BytesIn => {
                let next = call.args.get(n + 1).map_or("", |arg| arg.name);
                let counted = ["count", "len", "size", "addrlen", "optlen"].contains(&next);
                counted && bytes(cx, UserAddr(raw), self.args[n + 1] as usize, line)
            }
            PointsTo::BytesOut => written.is_some_and(|len| bytes(cx, UserAddr(raw), len, line)),
            PointsTo::Nothing => false,
        };
        if shown { Ok(()) } else { (arg.trace)(raw, line) }
    }

    /// Ends the line with the call's result.
    pub fn exit(mut self, cx: &Cx<'_>, result: &Result<usize>) {
        if self.line.is_empty() {
            return;
        }
        let mut line = core::mem::take(&mut self.line);
        let _ = self.end(cx, result, &mut line);
        emit(cx, &line);
    }

    fn end(&self, cx: &Cx<'_>, result: &Result<usize>, line: &mut String) -> fmt::Result {
        if let Some(call) = self.call {
            let written = match (call.name, result) {
                (
                    "read" | "pread64" | "readlink" | "readlinkat" | "recvfrom" | "getrandom" | "getcwd",
                    Ok(n),
                ) => Some(*n),
                _ => None,
            };
            for n in self.printed..call.args.len() {
                self.argument(cx, n, written, line)?;
            }
        }
        match result {
            Ok(value)
                if self
                    .call
                    .is_some_and(|call| ["mmap", "brk", "mremap", "shmat"].contains(&call.name)) =>
            {
                writeln!(line, ") = {value:#x}")
            }
            Ok(value) => writeln!(line, ") = {}", *value as isize),
            Err(error) => {
                write!(line, ") = -{} {:?}", error.errno() as i32, error.errno())?;
                match error.why() {
                    "" => writeln!(line),
                    why => writeln!(line, " ({why})"),
                }
            }
        }
    }
}

/// Prints a string; false if it cannot be read.
fn string(cx: &Cx<'_>, at: UserAddr, line: &mut String) -> bool {
    let mut buf = [0; SHOWN_STRING];
    match cx.hal().strncpy_from_user(&mut buf, at) {
        Ok((len, ended)) => {
            quote(&buf[..len], ended, line);
            true
        }
        Err(_) => false,
    }
}

/// Prints the begin of a buffer; false if it cannot be read.
fn bytes(cx: &Cx<'_>, at: UserAddr, len: usize, line: &mut String) -> bool {
    let mut buf = [0; SHOWN];
    let shown = len.min(SHOWN);
    let readable = cx.hal().copy_from_user(&mut buf[..shown], at).is_ok();
    if readable {
        quote(&buf[..shown], shown == len, line);
    }
    readable
}

fn quote(bytes: &[u8], whole: bool, line: &mut String) {
    line.push('"');
    for &byte in bytes {
        let _ = match byte {
            b'\n' => line.write_str("\\n"),
            b'\t' => line.write_str("\\t"),
            b'\r' => line.write_str("\\r"),
            b'"' | b'\\' => write!(line, "\\{}", byte as char),
            0x20..=0x7e => line.write_char(byte as char),
            _ => write!(line, "\\{byte:o}"),
        };
    }
    line.push_str(if whole { "\"" } else { "\"..." });
}

/// To the log, and to the console whatever its level: who asked for the trace wants to see it.
fn emit(cx: &Cx<'_>, line: &str) {
    const DEBUG: u8 = 7;
    let log = &cx.kernel.log;
    log.append(cx.kernel.time.now(), DEBUG, 0, line.as_bytes());
    log.wake();
    cx.hal().console_write(line.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_like_strace() {
        let mut line = String::new();
        quote(b"a\"b\n\x01\xff", false, &mut line);
        assert_eq!(line, r#""a\"b\n\1\377"..."#);
    }

    #[test]
    fn the_table_is_sorted() {
        assert!(CALLS.windows(2).all(|pair| pair[0].nr < pair[1].nr));
    }
}
