//! Mount options (`cgroup-v2.rst`, "Mounting"; `cgroup-v1/cgroups.rst`, "Usage").

use alloc::string::String;
use alloc::vec::Vec;

use crate::cgroup::{CgroupFlags, Hierarchy, RootFlags, SubsysId, SubsysMask};
use crate::error::Result;
use crate::{bail, ensure};

/// The longest name of a v1 hierarchy.
const MAX_NAME_LEN: usize = 63;

fn words(text: &[u8]) -> impl Iterator<Item = (&[u8], Option<&[u8]>)> {
    let words = text.split(|&byte| byte == b',').filter(|word| !word.is_empty());
    words.map(|word| match word.iter().position(|&byte| byte == b'=') {
        Some(at) => (&word[..at], Some(&word[at + 1..])),
        None => (word, None),
    })
}

/// Options of cgroup2.
pub(super) fn parse_dfl(text: &[u8]) -> Result<RootFlags> {
    let mut flags = RootFlags::empty();
    for word in words(text) {
        flags |= match word {
            (b"nsdelegate", None) => RootFlags::NS_DELEGATE,
            (b"favordynmods", None) => RootFlags::FAVOR_DYNMODS,
            (b"memory_localevents", None) => RootFlags::MEMORY_LOCAL_EVENTS,
            (b"memory_recursiveprot", None) => RootFlags::MEMORY_RECURSIVE_PROT,
            _ => bail!(EINVAL, "cgroup2: an unknown option"),
        };
    }
    Ok(flags)
}

/// Options of a v1 hierarchy.
#[derive(Default)]
pub(super) struct LegacyOptions {
    pub subsys: SubsysMask,
    pub none: bool,
    pub name: Option<Vec<u8>>,
    pub clone_children: bool,
    pub flags: RootFlags,
}

impl LegacyOptions {
    pub fn parse(text: &[u8]) -> Result<LegacyOptions> {
        let mut options = LegacyOptions::default();
        let mut all = false;
        for word in words(text) {
            match word {
                (b"none", None) => options.none = true,
                (b"all", None) => all = true,
                (b"noprefix", None) => options.flags |= RootFlags::NOPREFIX,
                (b"clone_children", None) => options.clone_children = true,
                (b"xattr", None) => options.flags |= RootFlags::XATTR,
                (b"favordynmods", None) => options.flags |= RootFlags::FAVOR_DYNMODS,
                (b"nofavordynmods", None) => options.flags -= RootFlags::FAVOR_DYNMODS,
                (b"name", Some(name)) => options.set_name(name)?,
                (name, None) => {
                    let id = SubsysId::find(name).filter(|&id| SubsysMask::on_v1().contains(id));
                    let Some(id) = id else {
                        bail!(EINVAL, "cgroup: an unknown option or controller")
                    };
                    options.subsys = options.subsys.with(id);
                }
                _ => bail!(EINVAL, "cgroup: an unknown option"),
            }
        }
        if options.subsys.is_empty() && !options.none && options.name.is_none() {
            all = true;
        }
        if all {
            ensure!(
                options.subsys.is_empty(),
                EINVAL,
                "cgroup: all, and some controllers"
            );
            options.subsys = SubsysMask::on_v1();
        }
        ensure!(
            !options.subsys.is_empty() || options.name.is_some(),
            EINVAL,
            "cgroup: neither a name nor controllers"
        );
        ensure!(
            !options.flags.contains(RootFlags::NOPREFIX)
                || options.subsys.iter().all(|id| id.subsys().name() == "cpuset"),
            EINVAL,
            "cgroup: noprefix is for cpuset alone"
        );
        ensure!(
            !options.none || options.subsys.is_empty(),
            EINVAL,
            "cgroup: none, and some controllers"
        );
        Ok(options)
    }

    fn set_name(&mut self, name: &[u8]) -> Result<()> {
        ensure!(!name.is_empty(), EINVAL, "cgroup: the name is empty");
        ensure!(name.len() <= MAX_NAME_LEN, EINVAL, "cgroup: the name is too long");
        let valid = |&byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
        ensure!(
            name.iter().all(valid),
            EINVAL,
            "cgroup: the name has strange characters"
        );
        ensure!(self.name.is_none(), EINVAL, "cgroup: two names");
        self.name = Some(name.to_vec());
        Ok(())
    }

    /// A hierarchy that is not there is made only if its controllers are named.
    pub fn check_new(&self) -> Result<()> {
        ensure!(
            !self.subsys.is_empty() || self.none,
            EINVAL,
            "cgroup: no hierarchy has this name"
        );
        Ok(())
    }
}

/// Appends the options of `/proc/mounts`.
pub(super) fn show(hierarchy: &Hierarchy, out: &mut String) {
    let flags = hierarchy.flags();
    let mut add = |on: bool, word: &str| {
        if on {
            out.push(',');
            out.push_str(word);
        }
    };
    if hierarchy.on_dfl() {
        add(flags.contains(RootFlags::NS_DELEGATE), "nsdelegate");
        add(flags.contains(RootFlags::FAVOR_DYNMODS), "favordynmods");
        add(
            flags.contains(RootFlags::MEMORY_LOCAL_EVENTS),
            "memory_localevents",
        );
        add(
            flags.contains(RootFlags::MEMORY_RECURSIVE_PROT),
            "memory_recursiveprot",
        );
        return;
    }
    for id in hierarchy.subsys_mask().iter() {
        add(true, id.subsys().name());
    }
    add(flags.contains(RootFlags::NOPREFIX), "noprefix");
    add(flags.contains(RootFlags::XATTR), "xattr");
    add(flags.contains(RootFlags::FAVOR_DYNMODS), "favordynmods");
    let root = hierarchy.root();
    add(
        root.is_some_and(|root| root.flags().contains(CgroupFlags::CLONE_CHILDREN)),
        "clone_children",
    );
    if !hierarchy.name().is_empty() {
        out.push_str(",name=");
        out.push_str(&String::from_utf8_lossy(hierarchy.name()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_read() {
        assert_eq!(parse_dfl(b"nsdelegate").unwrap(), RootFlags::NS_DELEGATE);
        assert!(parse_dfl(b"pids").is_err());
        let pids = SubsysMask::EMPTY.with(SubsysId::Pids);
        assert_eq!(LegacyOptions::parse(b"pids").unwrap().subsys, pids);
        assert_eq!(LegacyOptions::parse(b"").unwrap().subsys, SubsysMask::on_v1());
        let named = LegacyOptions::parse(b"none,name=x").unwrap();
        assert!(named.none && named.subsys.is_empty() && named.check_new().is_ok());
        assert!(LegacyOptions::parse(b"name=x").unwrap().check_new().is_err());
        for bad in [
            &b"none"[..],
            b"all,pids",
            b"none,pids,name=x",
            b"name=",
            b"name=a b",
            b"nothing",
            b"noprefix,pids",
        ] {
            assert!(LegacyOptions::parse(bad).is_err(), "{bad:?}");
        }
    }
}
