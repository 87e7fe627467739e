//! Mount options of procfs: `hidepid=`, `gid=`, `subset=`.

use alloc::string::String;
use alloc::sync::Arc;
use core::fmt::Write;

use crate::bail;
use crate::error::Result;
use crate::ids::{Gid, Kgid};
use crate::namespace::{PidNamespace, UserNamespace};

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
}

impl Default for Options {
    fn default() -> Options {
        Options {
            hide_pid: HidePid::Off,
            gid: Kgid::ROOT,
            pid_only: false,
        }
    }
}

impl Options {
    /// These options changed by a comma-separated list.
    pub fn parse(mut self, text: &[u8], user_ns: &UserNamespace) -> Result<Options> {
        for option in text
            .split(|&byte| byte == b',')
            .filter(|option| !option.is_empty())
        {
            let Ok(option) = core::str::from_utf8(option) else {
                bail!(EINVAL, "proc: an option is not text");
            };
            match option.split_once('=') {
                Some(("hidepid", value)) => {
                    self.hide_pid = match value {
                        "0" | "off" => HidePid::Off,
                        "1" | "noaccess" => HidePid::NoAccess,
                        "2" | "invisible" => HidePid::Invisible,
                        "4" | "ptraceable" => HidePid::Ptraceable,
                        _ => bail!(EINVAL, "proc: no such hidepid"),
                    }
                }
                Some(("gid", value)) => {
                    let gid = value.parse().ok().and_then(|gid| user_ns.make_kgid(Gid(gid)));
                    let Some(gid) = gid else {
                        bail!(EINVAL, "proc: no such group");
                    };
                    self.gid = gid;
                }
                Some(("subset", subsets)) => {
                    for subset in subsets.split(':') {
                        if subset != "pid" {
                            bail!(EINVAL, "proc: no such subset");
                        }
                        self.pid_only = true;
                    }
                }
                _ => bail!(EINVAL, "proc: no such option"),
            }
        }
        Ok(self)
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
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kobject::KoidTable;
    use crate::namespace::NsRegistry;

    #[test]
    fn options_as_mount_gives_them() {
        let registry = NsRegistry::new(Arc::new(KoidTable::new()));
        let user_ns = UserNamespace::initial(&registry, 100);
        let parse = |text: &str| Options::default().parse(text.as_bytes(), &user_ns).ok();
        assert_eq!(parse(""), Some(Options::default()));
        let options = parse("hidepid=ptraceable,gid=5,subset=pid").unwrap();
        assert_eq!(
            (options.hide_pid, options.gid, options.pid_only),
            (HidePid::Ptraceable, Kgid(5), true)
        );
        assert_eq!(parse("hidepid=2").unwrap().hide_pid, HidePid::Invisible);
        for wrong in [
            "hidepid=3",
            "hidepid",
            "gid=x",
            "subset=net",
            "nonsense",
            "size=1",
        ] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }
}
