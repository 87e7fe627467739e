//! Which device nodes may be opened and made: cgroup2's programs ([`super::bpf`]) are asked first, then the v1 devices
//! controller (`cgroup-v1/devices.rst`).
//!
//! Model of v1: a cgroup allows everything but its exceptions, or denies everything but its exceptions. A
//! child never has more than its parent: what the parent loses its descendants lose, and a child
//! is given only what the parent has.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, Ordering};

use super::{CfCx, CfType, Css, CssData, CssEnv, Show, Subsys, SubsysId, Write};
use crate::cred::Capability;
use crate::error::Result;
use crate::fs::permission::Access;
use crate::fs::seq_file::SeqBuf;
use crate::fs::{DevT, FileType};
use crate::sync::{SpinLock, class};
use crate::task::Task;
use crate::{bail, ensure};

bitflags::bitflags! {
    /// What may be done with a device.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    struct Acc: u8 {
        const MKNOD = 1;
        const READ = 2;
        const WRITE = 4;
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    Block = 1,
    Char = 2,
}

/// Devices and accesses. `None`: every number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Exception {
    kind: Kind,
    major: Option<u32>,
    minor: Option<u32>,
    access: Acc,
}

impl Exception {
    fn same_devices(&self, other: &Exception) -> bool {
        (self.kind, self.major, self.minor) == (other.kind, other.major, other.minor)
    }
    /// Whether it covers all of `other`.
    fn covers(&self, other: &Exception) -> bool {
        self.kind == other.kind
            && (self.major.is_none() || self.major == other.major)
            && (self.minor.is_none() || self.minor == other.minor)
            && self.access.contains(other.access)
    }
    /// Whether it has something in common with `other`.
    fn touches(&self, other: &Exception) -> bool {
        let meet = |a: Option<u32>, b: Option<u32>| a.is_none() || b.is_none() || a == b;
        self.kind == other.kind
            && meet(self.major, other.major)
            && meet(self.minor, other.minor)
            && self.access.intersects(other.access)
    }
}

#[derive(Clone)]
struct Rules {
    /// Everything is allowed but the exceptions.
    allow: bool,
    exceptions: Vec<Exception>,
}

impl Rules {
    fn permits(&self, what: &Exception) -> bool {
        if self.allow {
            !self.exceptions.iter().any(|ex| ex.touches(what))
        } else {
            self.exceptions.iter().any(|ex| ex.covers(what))
        }
    }
    fn add(&mut self, new: Exception) -> Result<()> {
        match self.exceptions.iter_mut().find(|ex| ex.same_devices(&new)) {
            Some(ex) => ex.access |= new.access,
            None => {
                ensure!(self.exceptions.try_reserve(1).is_ok(), ENOMEM);
                self.exceptions.push(new);
            }
        }
        Ok(())
    }
    fn remove(&mut self, gone: &Exception) {
        for ex in self.exceptions.iter_mut().filter(|ex| ex.same_devices(gone)) {
            ex.access -= gone.access;
        }
        self.exceptions.retain(|ex| !ex.access.is_empty());
    }
    /// Whether a child with default `allow` may have this exception (Linux's `verify_new_ex`).
    fn lets_child_have(&self, new: &Exception, allow: bool) -> bool {
        match (self.allow, allow) {
            (true, true) => true,
            (true, false) => !self.exceptions.iter().any(|ex| ex.touches(new)),
            (false, _) => self.exceptions.iter().any(|ex| ex.covers(new)),
        }
    }
}

/// The controller.
pub struct Devices;

struct DevicesCss {
    /// Nothing is forbidden: what most cgroups have.
    open: AtomicBool,
    rules: SpinLock<Rules, class::Leaf>,
}

impl DevicesCss {
    fn set(&self, rules: Rules) {
        self.open
            .store(rules.allow && rules.exceptions.is_empty(), Ordering::Release);
        let old = core::mem::replace(&mut *self.rules.lock(), rules);
        drop(old);
    }
    fn rules(&self) -> Rules {
        self.rules.lock().clone()
    }
}

impl Subsys for Devices {
    fn name(&self) -> &'static str {
        "devices"
    }
    fn css_alloc(&self, _env: &CssEnv<'_>, parent: Option<&Arc<Css>>) -> Result<CssData> {
        let rules = match parent {
            Some(parent) => parent.data::<DevicesCss>().rules(),
            None => Rules {
                allow: true,
                exceptions: Vec::new(),
            },
        };
        let css = DevicesCss {
            open: AtomicBool::new(false),
            rules: SpinLock::new(rules.clone()),
        };
        css.set(rules);
        Ok(Box::new(css))
    }
    fn legacy_cftypes(&self) -> &'static [CfType] {
        FILES
    }
}

static FILES: &[CfType] = &[
    CfType::new("devices.allow").write(Write::Text(|cx, data| change(cx, data, true))),
    CfType::new("devices.deny").write(Write::Text(|cx, data| change(cx, data, false))),
    CfType::new("devices.list").show(Show::Text(show)),
];

/// `a`, or kind, numbers and accesses. `None` is everything.
fn parse(text: &[u8]) -> Result<Option<Exception>> {
    let (kind, rest) = match text {
        [b'a', ..] => return Ok(None),
        [b'b', rest @ ..] => (Kind::Block, rest),
        [b'c', rest @ ..] => (Kind::Char, rest),
        _ => bail!(EINVAL, "devices: neither a nor b nor c"),
    };
    let [b' ' | b'\t', rest @ ..] = rest else {
        bail!(EINVAL, "devices: no blank after the kind")
    };
    let (major, rest) = number(rest)?;
    let [b':', rest @ ..] = rest else {
        bail!(EINVAL, "devices: no colon after the major number")
    };
    let (minor, rest) = number(rest)?;
    let [b' ' | b'\t', rest @ ..] = rest else {
        bail!(EINVAL, "devices: no blank after the numbers")
    };
    let mut access = Acc::empty();
    for &byte in rest.iter().take(3) {
        access |= match byte {
            b'r' => Acc::READ,
            b'w' => Acc::WRITE,
            b'm' => Acc::MKNOD,
            b'\n' => break,
            _ => bail!(EINVAL, "devices: an access that is none of r, w and m"),
        };
    }
    Ok(Some(Exception {
        kind,
        major,
        minor,
        access,
    }))
}

fn number(text: &[u8]) -> Result<(Option<u32>, &[u8])> {
    if let [b'*', rest @ ..] = text {
        return Ok((None, rest));
    }
    let len = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let digits = core::str::from_utf8(&text[..len]).ok();
    match digits.and_then(|digits| digits.parse().ok()) {
        Some(value) => Ok((Some(value), &text[len..])),
        None => bail!(EINVAL, "devices: not a device number"),
    }
}

fn show(cx: &CfCx<'_>, out: &mut SeqBuf) -> Result<()> {
    let rules = cx.css().data::<DevicesCss>().rules();
    if rules.allow {
        return out.bytes(b"a *:* rwm\n");
    }
    for ex in &rules.exceptions {
        out.byte(if ex.kind == Kind::Block { b'b' } else { b'c' })?;
        for (before, number) in [(b' ', ex.major), (b':', ex.minor)] {
            out.byte(before)?;
            match number {
                Some(number) => write!(out, "{number}")?,
                None => out.byte(b'*')?,
            }
        }
        out.byte(b' ')?;
        for (access, letter) in [(Acc::READ, b'r'), (Acc::WRITE, b'w'), (Acc::MKNOD, b'm')] {
            if ex.access.contains(access) {
                out.byte(letter)?;
            }
        }
        out.byte(b'\n')?;
    }
    Ok(())
}

fn change(cx: &CfCx<'_>, data: &[u8], allow: bool) -> Result<()> {
    ensure!(
        cx.task.cred().capable(Capability::SYS_ADMIN),
        EPERM,
        "devices: no CAP_SYS_ADMIN"
    );
    let what = parse(data)?;
    let _membership = cx.kernel.cgroups.lock();
    let css = cx.css();
    let own = css.data::<DevicesCss>();
    let parent = css.parent().map(|parent| parent.data::<DevicesCss>().rules());
    let Some(what) = what else {
        ensure!(!cx.cgroup.has_children(), EINVAL, "devices: there are children");
        let mut exceptions = Vec::new();
        if let Some(parent) = parent.filter(|_| allow) {
            ensure!(
                parent.allow,
                EPERM,
                "devices: the parent does not allow everything"
            );
            exceptions = parent.exceptions;
        }
        own.set(Rules { allow, exceptions });
        return Ok(());
    };
    let mut rules = own.rules();
    if allow {
        if rules.allow {
            let kept = parent.is_some_and(|parent| parent.exceptions.iter().any(|ex| ex.touches(&what)));
            ensure!(!kept, EPERM, "devices: the parent denies it");
            rules.remove(&what);
        } else {
            let has = parent.is_none_or(|parent| parent.lets_child_have(&what, false));
            ensure!(has, EPERM, "devices: the parent does not have it");
            rules.add(what)?;
        }
        own.set(rules);
        return Ok(());
    }
    let allowed = rules.allow;
    if allowed {
        rules.add(what)?;
    } else {
        rules.remove(&what);
    }
    own.set(rules);
    for below in cx.cgroup.subtree().skip(1) {
        let Some(css) = below.css(SubsysId::Devices) else {
            continue;
        };
        let Some(parent) = css.parent().map(|parent| parent.data::<DevicesCss>().rules()) else {
            continue;
        };
        let own = css.data::<DevicesCss>();
        let mut rules = own.rules();
        if allowed && rules.allow {
            rules.add(what)?;
        } else {
            rules.remove(&what);
        }
        let allow = rules.allow;
        rules.exceptions.retain(|ex| parent.lets_child_have(ex, allow));
        own.set(rules);
    }
    Ok(())
}

fn check(task: &Task, file_type: FileType, dev: DevT, access: Acc) -> Result<()> {
    let kind = match file_type {
        FileType::BlockDevice => Kind::Block,
        FileType::CharDevice => Kind::Char,
        _ => return Ok(()),
    };
    // Both number kinds and accesses like `BPF_DEVCG_*`.
    super::bpf::check_device(task, kind as u32, dev, access.bits().into())?;
    let set = task.css_set();
    let css = set.css(SubsysId::Devices).data::<DevicesCss>();
    if css.open.load(Ordering::Acquire) {
        return Ok(());
    }
    let what = Exception {
        kind,
        major: Some(dev.major()),
        minor: Some(dev.minor()),
        access,
    };
    ensure!(
        css.rules.lock().permits(&what),
        EPERM,
        "the devices controller forbids it"
    );
    Ok(())
}

/// Whether `task` may open a device node so.
pub fn check_open(task: &Task, file_type: FileType, dev: DevT, access: Access) -> Result<()> {
    // A whiteout is no device.
    if dev == DevT::default() {
        return Ok(());
    }
    let mut wanted = Acc::empty();
    wanted.set(Acc::READ, access.contains(Access::READ));
    wanted.set(Acc::WRITE, access.contains(Access::WRITE));
    check(task, file_type, dev, wanted)
}

/// Whether `task` may make a device node.
pub fn check_mknod(task: &Task, file_type: FileType, dev: DevT) -> Result<()> {
    check(task, file_type, dev, Acc::MKNOD)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ex(text: &str) -> Exception {
        parse(text.as_bytes()).unwrap().unwrap()
    }

    #[test]
    fn rules_are_read() {
        assert_eq!(parse(b"a *:* rwm").unwrap(), None);
        assert_eq!(ex("c 1:3 rwm\n").major, Some(1));
        assert_eq!(ex("b *:7 r").major, None);
        for bad in [
            "",
            "x",
            "c",
            "c1:3 r",
            "c 1 r",
            "c 1:3",
            "c 1:3 x",
            "c 99999999999:1 r",
        ] {
            assert!(parse(bad.as_bytes()).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_default_and_its_exceptions() {
        let mut rules = Rules {
            allow: false,
            exceptions: Vec::new(),
        };
        assert!(!rules.permits(&ex("c 1:3 r")));
        rules.add(ex("c 1:3 rw")).unwrap();
        assert!(rules.permits(&ex("c 1:3 r")) && !rules.permits(&ex("c 1:3 rm")));
        rules.add(ex("c 1:3 m")).unwrap();
        assert!(rules.permits(&ex("c 1:3 rm")));
        rules.remove(&ex("c 1:3 rwm"));
        assert!(rules.exceptions.is_empty());
        rules.allow = true;
        rules.add(ex("c *:3 w")).unwrap();
        assert!(rules.permits(&ex("c 1:3 r")) && !rules.permits(&ex("c 1:3 rw")));
        assert!(
            rules.lets_child_have(&ex("c 1:3 r"), false) && !rules.lets_child_have(&ex("c *:* w"), false)
        );
    }
}
