//! Mount options of procfs: `hidepid=`, `gid=`, `subset=`, and `cgview`, which Linux does not have.

use alloc::string::String;
use alloc::sync::Arc;
use core::fmt::Write;

use crate::bail;
use crate::error::Result;
use crate::fs::fs_context::ParamCx;
use crate::fs::fs_context::param::{Kind, Param, Spec, bad_value, kstrtouint, parse};
use crate::ids::{Gid, Kgid};
use crate::namespace::PidNamespace;

/// What is hidden of other users' processes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum HidePid {
    Off = 0,
    NoAccess = 1,
    Invisible = 2,
    Ptraceable = 4,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Options {
    pub hide_pid: HidePid,
    /// Members of this group see everything.
    pub gid: Kgid,
    /// `subset=pid`: only tasks.
    pub pid_only: bool,
    /// `cgview`: what the reader's cgroups leave of the machine (see [`crate::cgroup::view`]).
    pub cgview: bool,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            hide_pid: HidePid::Off,
            gid: Kgid::ROOT,
            pid_only: false,
            cgview: false,
        }
    }
}

#[derive(Clone, Copy)]
enum Key {
    HidePid,
    Gid,
    Subset,
    CgView,
}

const TABLE: &[Spec<Key>] = &[
    Spec::new("hidepid", Kind::Text, Key::HidePid),
    Spec::new("gid", Kind::U32, Key::Gid),
    Spec::new("subset", Kind::Text, Key::Subset),
    Spec::new("cgview", Kind::Flag, Key::CgView),
];

fn hide_pid(text: &[u8]) -> Option<HidePid> {
    if let Some(number) = kstrtouint(text, 0) {
        return Some(match number {
            0 => HidePid::Off,
            1 => HidePid::NoAccess,
            2 => HidePid::Invisible,
            4 => HidePid::Ptraceable,
            _ => return None,
        });
    }
    Some(match text {
        b"off" => HidePid::Off,
        b"noaccess" => HidePid::NoAccess,
        b"invisible" => HidePid::Invisible,
        b"ptraceable" => HidePid::Ptraceable,
        _ => return None,
    })
}

impl Options {
    /// Takes an option; false if there is no such.
    pub fn parse_param(&mut self, cx: &mut ParamCx<'_>, param: &Param) -> Result<bool> {
        let Some((key, value)) = parse(cx.log, TABLE, param)? else {
            return Ok(false);
        };
        let text = value.bytes();
        let shown = String::from_utf8_lossy(text);
        match key {
            Key::HidePid => match hide_pid(text) {
                Some(hide_pid) => self.hide_pid = hide_pid,
                None => {
                    cx.log
                        .plain('e', format_args!("proc: unknown value of hidepid - {shown}\n"));
                    bail!(EINVAL, "proc: no such hidepid");
                }
            },
            Key::CgView => self.cgview = true,
            Key::Gid => match cx.user_ns.make_kgid(Gid(value.number())) {
                Some(gid) => self.gid = gid,
                None => return bad_value(cx.log, param),
            },
            Key::Subset => {
                for subset in text.split(|&byte| byte == b':').filter(|part| !part.is_empty()) {
                    if subset != b"pid" {
                        let shown = String::from_utf8_lossy(subset);
                        cx.log
                            .plain('e', format_args!("proc: unsupported subset option - {shown}\n"));
                        bail!(EINVAL, "proc: no such subset");
                    }
                    self.pid_only = true;
                }
            }
        }
        Ok(true)
    }

    /// As `/proc/mounts` shows them.
    pub fn show(&self, pid_ns: &Arc<PidNamespace>, out: &mut String) {
        if self.gid != Kgid::ROOT {
            let _ = write!(out, ",gid={}", pid_ns.user_ns().from_kgid_munged(self.gid));
        }
        match self.hide_pid {
            HidePid::Off => {}
            HidePid::NoAccess => out.push_str(",hidepid=noaccess"),
            HidePid::Invisible => out.push_str(",hidepid=invisible"),
            HidePid::Ptraceable => out.push_str(",hidepid=ptraceable"),
        }
        if self.pid_only {
            out.push_str(",subset=pid");
        }
        if self.cgview {
            out.push_str(",cgview");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hidepid_is_a_number_or_a_word() {
        assert_eq!(hide_pid(b"ptraceable"), Some(HidePid::Ptraceable));
        assert_eq!(hide_pid(b"2"), Some(HidePid::Invisible));
        assert_eq!(hide_pid(b"0x1"), Some(HidePid::NoAccess));
        assert_eq!(hide_pid(b"3"), None);
        assert_eq!(hide_pid(b"some"), None);
    }
}
