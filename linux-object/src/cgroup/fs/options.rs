//! Mount options (`cgroup-v2.rst`, "Mounting"; `cgroup-v1/cgroups.rst`, "Usage").

use alloc::string::String;
use alloc::vec::Vec;

use crate::cgroup::{CgroupFlags, Hierarchy, RootFlags, SubsysId, SubsysMask};
use crate::ensure;
use crate::error::Result;

/// The longest name of a v1 hierarchy.
const MAX_NAME_LEN: usize = 63;

/// An option of cgroup2.
pub(super) fn dfl_flag(word: &[u8]) -> Option<RootFlags> {
    Some(match word {
        b"nsdelegate" => RootFlags::NS_DELEGATE,
        b"favordynmods" => RootFlags::FAVOR_DYNMODS,
        b"memory_localevents" => RootFlags::MEMORY_LOCAL_EVENTS,
        b"memory_recursiveprot" => RootFlags::MEMORY_RECURSIVE_PROT,
        _ => return None,
    })
}

/// Options of a v1 hierarchy.
#[derive(Default)]
pub(super) struct LegacyOptions {
    pub subsys: SubsysMask,
    pub none: bool,
    pub all: bool,
    pub name: Option<Vec<u8>>,
    pub clone_children: bool,
    pub flags: RootFlags,
}

impl LegacyOptions {
    /// Takes one option; false if there is no such.
    pub fn take(&mut self, key: &[u8], value: Option<&[u8]>) -> Result<bool> {
        match (key, value) {
            (b"none", None) => self.none = true,
            (b"all", None) => self.all = true,
            (b"noprefix", None) => self.flags |= RootFlags::NOPREFIX,
            (b"clone_children", None) => self.clone_children = true,
            (b"xattr", None) => self.flags |= RootFlags::XATTR,
            (b"favordynmods", None) => self.flags |= RootFlags::FAVOR_DYNMODS,
            (b"nofavordynmods", None) => self.flags -= RootFlags::FAVOR_DYNMODS,
            (b"name", Some(name)) => self.set_name(name)?,
            (name, None) => {
                let id = SubsysId::find(name).filter(|&id| SubsysMask::on_v1().contains(id));
                let Some(id) = id else { return Ok(false) };
                self.subsys = self.subsys.with(id);
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// All options are there: do they fit together?
    pub fn finish(&mut self) -> Result<()> {
        if self.all {
            ensure!(
                self.subsys.is_empty(),
                EINVAL,
                "cgroup: all, and some controllers"
            );
        }
        if self.all || self.subsys.is_empty() && !self.none && self.name.is_none() {
            self.all = false;
            self.subsys = SubsysMask::on_v1();
        }
        ensure!(
            !self.subsys.is_empty() || self.name.is_some(),
            EINVAL,
            "cgroup: neither a name nor controllers"
        );
        ensure!(
            !self.flags.contains(RootFlags::NOPREFIX)
                || self.subsys.iter().all(|id| id.subsys().name() == "cpuset"),
            EINVAL,
            "cgroup: noprefix is for cpuset alone"
        );
        ensure!(
            !self.none || self.subsys.is_empty(),
            EINVAL,
            "cgroup: none, and some controllers"
        );
        Ok(())
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

    fn parse(text: &str) -> Result<LegacyOptions> {
        let mut options = LegacyOptions::default();
        for word in text.split(',').filter(|word| !word.is_empty()) {
            let (key, value) = match word.split_once('=') {
                Some((key, value)) => (key, Some(value.as_bytes())),
                None => (word, None),
            };
            ensure!(options.take(key.as_bytes(), value)?, EINVAL);
        }
        options.finish()?;
        Ok(options)
    }

    #[test]
    fn options_are_read() {
        assert_eq!(dfl_flag(b"nsdelegate"), Some(RootFlags::NS_DELEGATE));
        assert_eq!(dfl_flag(b"pids"), None);
        let pids = SubsysMask::EMPTY.with(SubsysId::Pids);
        assert_eq!(parse("pids").unwrap().subsys, pids);
        assert_eq!(parse("").unwrap().subsys, SubsysMask::on_v1());
        let named = parse("none,name=x").unwrap();
        assert!(named.none && named.subsys.is_empty() && named.check_new().is_ok());
        assert!(parse("name=x").unwrap().check_new().is_err());
        for bad in [
            "none",
            "all,pids",
            "none,pids,name=x",
            "name=",
            "none,name=a b",
            "nothing",
            "noprefix,pids",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
