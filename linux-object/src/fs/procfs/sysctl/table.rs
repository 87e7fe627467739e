//! The settings, one per line.

use super::{Sysctl, Value};
use crate::cred::Capability;
use crate::error::Result;
use crate::fs::procfs::ProcCx;
use crate::fs::seq_file::SeqBuf;
use crate::sysctl::{Setting, Sysctls};
use crate::{bail, ensure};

const INT: i64 = i32::MAX as i64;
const LONG: i64 = i64::MAX;

/// A number of the whole kernel.
const fn cell(path: &'static str, min: i64, max: i64, cell: fn(&Sysctls) -> &Setting) -> Sysctl {
    Sysctl {
        path,
        mode: 0o644,
        value: Value::Cell { cell, min, max },
    }
}

/// A number that is only read.
const fn fixed(path: &'static str, get: fn(&ProcCx<'_>) -> i64) -> Sysctl {
    Sysctl {
        path,
        mode: 0o444,
        value: Value::Number {
            get,
            set: |_, _| bail!(EPERM),
            min: 0,
            max: 0,
        },
    }
}

/// A number behind functions.
const fn number(
    path: &'static str,
    (min, max): (i64, i64),
    get: fn(&ProcCx<'_>) -> i64,
    set: fn(&ProcCx<'_>, i64) -> Result<()>,
) -> Sysctl {
    Sysctl {
        path,
        mode: 0o644,
        value: Value::Number { get, set, min, max },
    }
}

/// A text that is only read.
const fn constant(path: &'static str, get: fn(&ProcCx<'_>, &mut SeqBuf) -> Result<()>) -> Sysctl {
    Sysctl {
        path,
        mode: 0o444,
        value: Value::Text {
            get,
            set: |_, _| bail!(EPERM),
            max: 1,
            event: None,
        },
    }
}

/// Every setting; those of one directory stand together.
#[rustfmt::skip]
pub(in crate::fs::procfs) static SYSCTLS: &[Sysctl] = &[
    cell("sys/fs/epoll/max_user_watches", 0, LONG, |s| &s.epoll_max_user_watches),
    cell("sys/fs/file-max", 0, LONG, |s| &s.file_max),
    cell("sys/fs/inotify/max_queued_events", 0, INT, |s| &s.inotify_max_queued_events),
    cell("sys/fs/inotify/max_user_instances", 0, INT, |s| &s.inotify_max_user_instances),
    cell("sys/fs/inotify/max_user_watches", 0, INT, |s| &s.inotify_max_user_watches),
    cell("sys/fs/mount-max", 1, INT, |s| &s.mount_max),
    cell("sys/fs/nr_open", 64, 0x3fff_ffc0, |s| &s.nr_open),
    cell("sys/fs/overflowgid", 0, 65535, |s| &s.overflowgid),
    cell("sys/fs/overflowuid", 0, 65535, |s| &s.overflowuid),
    cell("sys/fs/pipe-max-size", 4096, INT, |s| &s.pipe_max_size),
    cell("sys/fs/pipe-user-pages-hard", 0, LONG, |s| &s.pipe_user_pages_hard),
    cell("sys/fs/pipe-user-pages-soft", 0, LONG, |s| &s.pipe_user_pages_soft),
    cell("sys/fs/protected_fifos", 0, 2, |s| &s.protected_fifos),
    cell("sys/fs/protected_hardlinks", 0, 1, |s| &s.protected_hardlinks),
    cell("sys/fs/protected_regular", 0, 2, |s| &s.protected_regular),
    cell("sys/fs/protected_symlinks", 0, 1, |s| &s.protected_symlinks),
    cell("sys/fs/suid_dumpable", 0, 2, |s| &s.suid_dumpable),
    fixed("sys/kernel/cap_last_cap", |_| Capability::LAST as i64),
    Sysctl { path: "sys/kernel/core_pattern", mode: 0o644, value: Value::Text {
        get: |cx, out| out.bytes(&cx.kernel.sysctl.core_pattern.lock()),
        set: set_core_pattern, max: 128, event: None } },
    cell("sys/kernel/dmesg_restrict", 0, 1, |s| &s.dmesg_restrict),
    fixed("sys/kernel/ngroups_max", |_| 65536),
    cell("sys/kernel/overflowgid", 0, 65535, |s| &s.overflowgid),
    cell("sys/kernel/overflowuid", 0, 65535, |s| &s.overflowuid),
    cell("sys/kernel/panic", -INT - 1, INT, |s| &s.panic),
    cell("sys/kernel/randomize_va_space", 0, 2, |s| &s.randomize_va_space),
    cell("sys/vm/max_map_count", 0, INT, |s| &s.max_map_count),
    cell("sys/vm/mmap_min_addr", 0, LONG, |s| &s.mmap_min_addr),
    cell("sys/vm/overcommit_kbytes", 0, LONG, |s| &s.overcommit_kbytes),
    cell("sys/vm/overcommit_memory", 0, 2, |s| &s.overcommit_memory),
    cell("sys/vm/overcommit_ratio", 0, INT, |s| &s.overcommit_ratio),
];

fn set_core_pattern(cx: &ProcCx<'_>, value: &[u8]) -> Result<()> {
    ensure!(
        value.first() != Some(&b'|'),
        EINVAL,
        "core_pattern: no helper programs are run"
    );
    let old = core::mem::replace(&mut *cx.kernel.sysctl.core_pattern.lock(), value.to_vec());
    drop(old);
    Ok(())
}
