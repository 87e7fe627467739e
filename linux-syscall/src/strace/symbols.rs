//! Names for numbers, chosen by the name of the call and of the argument.

use alloc::string::String;
use core::fmt::Write;

use linux_object::task::Signal;

type Names = &'static [(u64, &'static str)];

/// Prints the argument by name; false if it is just a number.
pub(super) fn print(call: &str, arg: &str, raw: u64, out: &mut String) -> bool {
    match (call, arg) {
        (_, "sig" | "signum") => return signal(raw, out),
        (_, "mode") => {
            let _ = write!(out, "{:#o}", raw as u32);
        }
        ("mmap" | "mprotect", "prot") => flags(raw, PROT, "PROT_NONE", out),
        ("mmap", "flags") => flags(raw, MAP, "0", out),
        ("clone", "flags") => {
            flags(raw & !0xff, CLONE, "", out);
            if raw & 0xff != 0 {
                if raw & !0xff != 0 {
                    out.push('|');
                }
                signal(raw & 0xff, out);
            }
        }
        ("unshare", "flags") | ("setns", "nstype") => flags(raw, CLONE, "0", out),
        ("mount", "flags") => flags(raw, MS, "0", out),
        ("umount2", "flags") => flags(raw, UMOUNT, "0", out),
        (_, "flags") if call.ends_with("at") || call.ends_with("at2") || call == "statx" => {
            flags(raw, AT, "0", out)
        }
        ("lseek", "whence") => return one(raw, WHENCE, out),
        ("fcntl", "cmd") => return one(raw, FCNTL, out),
        ("ioctl", "cmd") => return one(raw, IOCTL, out),
        ("rt_sigprocmask", "how") => return one(raw, HOW, out),
        ("prctl", "option") => return one(raw, PRCTL, out),
        ("arch_prctl", "code") => return one(raw, ARCH, out),
        ("wait4" | "waitid", "options") => flags(raw, WAIT, "0", out),
        ("futex", "op") => {
            let Some((_, name)) = FUTEX.iter().find(|(nr, _)| *nr == raw & 0x7f) else {
                return false;
            };
            out.push_str(name);
            flags_after(
                raw & !0x7f & 0xffff_ffff,
                &[(128, "PRIVATE"), (256, "CLOCK_REALTIME")],
                out,
            );
        }
        _ => return false,
    }
    true
}

fn signal(raw: u64, out: &mut String) -> bool {
    match Signal::new(raw as u32).and_then(Signal::name) {
        Some(name) => {
            let _ = write!(out, "SIG{name}");
            true
        }
        None => false,
    }
}

fn one(raw: u64, names: Names, out: &mut String) -> bool {
    match names.iter().find(|(value, _)| *value == raw & 0xffff_ffff) {
        Some((_, name)) => {
            out.push_str(name);
            true
        }
        None => false,
    }
}

fn flags(raw: u64, names: Names, none: &str, out: &mut String) {
    if raw == 0 {
        out.push_str(none);
        return;
    }
    let from = out.len();
    flags_after(raw, names, out);
    if out.as_bytes().get(from) == Some(&b'|') {
        out.remove(from);
    }
}

fn flags_after(raw: u64, names: Names, out: &mut String) {
    let mut rest = raw;
    for (bits, name) in names {
        if rest & bits == *bits {
            rest &= !bits;
            out.push('|');
            out.push_str(name);
        }
    }
    if rest != 0 {
        let _ = write!(out, "|{rest:#x}");
    }
}

const PROT: Names = &[(1, "PROT_READ"), (2, "PROT_WRITE"), (4, "PROT_EXEC")];

#[rustfmt::skip]
const MAP: Names = &[
    (3, "MAP_SHARED_VALIDATE"), (1, "MAP_SHARED"), (2, "MAP_PRIVATE"), (0x10, "MAP_FIXED"), (0x20, "MAP_ANONYMOUS"),
    (0x100, "MAP_GROWSDOWN"), (0x800, "MAP_DENYWRITE"), (0x2000, "MAP_LOCKED"), (0x4000, "MAP_NORESERVE"),
    (0x8000, "MAP_POPULATE"), (0x20000, "MAP_STACK"), (0x100000, "MAP_FIXED_NOREPLACE"),
];

#[rustfmt::skip]
const CLONE: Names = &[
    (0x80, "CLONE_NEWTIME"), (0x100, "CLONE_VM"), (0x200, "CLONE_FS"), (0x400, "CLONE_FILES"), (0x800, "CLONE_SIGHAND"),
    (0x1000, "CLONE_PIDFD"), (0x2000, "CLONE_PTRACE"), (0x4000, "CLONE_VFORK"), (0x8000, "CLONE_PARENT"),
    (0x10000, "CLONE_THREAD"), (0x20000, "CLONE_NEWNS"), (0x40000, "CLONE_SYSVSEM"), (0x80000, "CLONE_SETTLS"),
    (0x100000, "CLONE_PARENT_SETTID"), (0x200000, "CLONE_CHILD_CLEARTID"), (0x400000, "CLONE_DETACHED"),
    (0x1000000, "CLONE_CHILD_SETTID"), (0x2000000, "CLONE_NEWCGROUP"), (0x4000000, "CLONE_NEWUTS"),
    (0x8000000, "CLONE_NEWIPC"), (0x10000000, "CLONE_NEWUSER"), (0x20000000, "CLONE_NEWPID"),
    (0x40000000, "CLONE_NEWNET"), (0x80000000, "CLONE_IO"),
];

#[rustfmt::skip]
const MS: Names = &[
    (1, "MS_RDONLY"), (2, "MS_NOSUID"), (4, "MS_NODEV"), (8, "MS_NOEXEC"), (16, "MS_SYNCHRONOUS"), (32, "MS_REMOUNT"),
    (1024, "MS_NOATIME"), (2048, "MS_NODIRATIME"), (4096, "MS_BIND"), (8192, "MS_MOVE"), (16384, "MS_REC"),
    (32768, "MS_SILENT"), (1 << 17, "MS_UNBINDABLE"), (1 << 18, "MS_PRIVATE"), (1 << 19, "MS_SLAVE"),
    (1 << 20, "MS_SHARED"), (1 << 21, "MS_RELATIME"), (1 << 24, "MS_STRICTATIME"),
];

const UMOUNT: Names = &[
    (1, "MNT_FORCE"),
    (2, "MNT_DETACH"),
    (4, "MNT_EXPIRE"),
    (8, "UMOUNT_NOFOLLOW"),
];

const AT: Names = &[
    (0x100, "AT_SYMLINK_NOFOLLOW"),
    (0x200, "AT_REMOVEDIR"),
    (0x400, "AT_SYMLINK_FOLLOW"),
    (0x800, "AT_NO_AUTOMOUNT"),
    (0x1000, "AT_EMPTY_PATH"),
];

const WHENCE: Names = &[
    (0, "SEEK_SET"),
    (1, "SEEK_CUR"),
    (2, "SEEK_END"),
    (3, "SEEK_DATA"),
    (4, "SEEK_HOLE"),
];

#[rustfmt::skip]
const FCNTL: Names = &[
    (0, "F_DUPFD"), (1, "F_GETFD"), (2, "F_SETFD"), (3, "F_GETFL"), (4, "F_SETFL"), (5, "F_GETLK"), (6, "F_SETLK"),
    (7, "F_SETLKW"), (8, "F_SETOWN"), (9, "F_GETOWN"), (1026, "F_NOTIFY"), (1030, "F_DUPFD_CLOEXEC"), (1031, "F_SETPIPE_SZ"),
    (1032, "F_GETPIPE_SZ"), (1033, "F_ADD_SEALS"), (1034, "F_GET_SEALS"),
];

#[rustfmt::skip]
const IOCTL: Names = &[
    (0x5401, "TCGETS"), (0x5402, "TCSETS"), (0x5403, "TCSETSW"), (0x5404, "TCSETSF"), (0x540e, "TIOCSCTTY"),
    (0x540f, "TIOCGPGRP"), (0x5410, "TIOCSPGRP"), (0x5413, "TIOCGWINSZ"), (0x5414, "TIOCSWINSZ"), (0x541b, "FIONREAD"),
    (0x5421, "FIONBIO"), (0x5422, "TIOCNOTTY"), (0x80045430, "TIOCGPTN"), (0x40045431, "TIOCSPTLCK"),
    (0xb701, "NS_GET_USERNS"), (0xb702, "NS_GET_PARENT"), (0xb703, "NS_GET_NSTYPE"), (0xb704, "NS_GET_OWNER_UID"),
];

const HOW: Names = &[(0, "SIG_BLOCK"), (1, "SIG_UNBLOCK"), (2, "SIG_SETMASK")];

#[rustfmt::skip]
const PRCTL: Names = &[
    (1, "PR_SET_PDEATHSIG"), (2, "PR_GET_PDEATHSIG"), (3, "PR_GET_DUMPABLE"), (4, "PR_SET_DUMPABLE"),
    (7, "PR_GET_KEEPCAPS"), (8, "PR_SET_KEEPCAPS"), (15, "PR_SET_NAME"), (16, "PR_GET_NAME"), (22, "PR_SET_SECCOMP"),
    (23, "PR_CAPBSET_READ"), (24, "PR_CAPBSET_DROP"), (27, "PR_GET_SECUREBITS"), (28, "PR_SET_SECUREBITS"),
    (36, "PR_SET_CHILD_SUBREAPER"), (37, "PR_GET_CHILD_SUBREAPER"), (38, "PR_SET_NO_NEW_PRIVS"),
    (39, "PR_GET_NO_NEW_PRIVS"), (47, "PR_CAP_AMBIENT"),
];

const ARCH: Names = &[
    (0x1001, "ARCH_SET_GS"),
    (0x1002, "ARCH_SET_FS"),
    (0x1003, "ARCH_GET_FS"),
    (0x1004, "ARCH_GET_GS"),
];

#[rustfmt::skip]
const WAIT: Names = &[
    (1, "WNOHANG"), (2, "WUNTRACED"), (4, "WEXITED"), (8, "WCONTINUED"), (0x1000000, "WNOWAIT"),
    (0x20000000, "__WNOTHREAD"), (0x40000000, "__WALL"), (0x80000000, "__WCLONE"),
];

#[rustfmt::skip]
const FUTEX: Names = &[
    (0, "FUTEX_WAIT"), (1, "FUTEX_WAKE"), (3, "FUTEX_REQUEUE"), (4, "FUTEX_CMP_REQUEUE"), (5, "FUTEX_WAKE_OP"),
    (6, "FUTEX_LOCK_PI"), (7, "FUTEX_UNLOCK_PI"), (8, "FUTEX_TRYLOCK_PI"), (9, "FUTEX_WAIT_BITSET"),
    (10, "FUTEX_WAKE_BITSET"),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(call: &str, arg: &str, raw: u64) -> String {
        let mut out = String::new();
        assert!(print(call, arg, raw, &mut out));
        out
    }

    #[test]
    fn flags_have_names() {
        assert_eq!(shown("mmap", "prot", 0), "PROT_NONE");
        assert_eq!(shown("mmap", "prot", 3), "PROT_READ|PROT_WRITE");
        assert_eq!(shown("clone", "flags", 0x4111), "CLONE_VM|CLONE_VFORK|SIGCHLD");
        assert_eq!(shown("clone", "flags", 17), "SIGCHLD");
        assert_eq!(shown("futex", "op", 129), "FUTEX_WAKE|PRIVATE");
        assert_eq!(shown("unlinkat", "flags", 0x8000_0200), "AT_REMOVEDIR|0x80000000");
    }
}
