//! `NETLINK_KOBJECT_UEVENT`: what happens to network devices, told to the namespace they are in
//! (Linux's `lib/kobject_uevent.c`).
//!
//! A message is a line `ACTION@DEVPATH` and variables, each ended by a zero byte. A write to a device's `uevent` file
//! makes the message again, marked with `SYNTH_UUID`.

use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::Ordering;

use super::proto;
use crate::error::Result;
use crate::net::stack::device::{Device, DeviceKind};
use crate::net::stack::{Job, Net, NetStack};
use crate::{bail, ensure, err};

/// The one group.
const GROUP: u32 = 1;
/// In [`NetStack::listeners`], where rtnetlink has no group 0.
pub const LISTENER_BIT: u32 = 1;

/// What a program may ask for again.
const ACTIONS: [&str; 8] = [
    "add", "remove", "change", "move", "online", "offline", "bind", "unbind",
];

fn message(action: &str, dev: &Device, extra: &[String], seq: u64) -> Vec<u8> {
    let path = format!("/{}", dev.path());
    let mut words = alloc::vec![
        format!("{action}@{path}"),
        format!("ACTION={action}"),
        format!("DEVPATH={path}"),
        "SUBSYSTEM=net".into(),
    ];
    words.extend_from_slice(extra);
    if let DeviceKind::Bridge(_) = dev.kind {
        words.push("DEVTYPE=bridge".into());
    }
    words.push(format!("INTERFACE={}", dev.name));
    words.push(format!("IFINDEX={}", dev.ifindex));
    words.push(format!("SEQNUM={seq}"));
    words
        .into_iter()
        .flat_map(|word| word.into_bytes().into_iter().chain([0]))
        .collect()
}

impl Net<'_> {
    /// Tells of a device: `add`, `remove`, `move`.
    pub(in crate::net) fn uevent(&mut self, ifindex: u32, action: &str, extra: &[String]) {
        let stack = self.stack.clone();
        let seq = stack.shared.uevent_seqnum.fetch_add(1, Ordering::Relaxed) + 1;
        if !stack.has_listeners(0) {
            return;
        }
        if let Some(dev) = self.device(ifindex) {
            let message = message(action, dev, extra, seq);
            let group = (proto::KOBJECT_UEVENT, GROUP);
            self.run.push(Job::Notify(stack, group, message));
        }
    }
}

/// A write to `uevent`: an action, and perhaps a UUID and variables for its receivers. `EINVAL`: none of those.
pub fn synthesize(stack: &Arc<NetStack>, ifindex: u32, data: &[u8]) -> Result<()> {
    let text = core::str::from_utf8(data).map_err(|_| err!(EINVAL, "uevent: not a text"))?;
    let mut words = text.strip_suffix('\n').unwrap_or(text).split(' ');
    let action = words.next().unwrap_or_default();
    ensure!(ACTIONS.contains(&action), EINVAL, "uevent: no such action");
    let mut extra = Vec::new();
    match words.next() {
        None => extra.push("SYNTH_UUID=0".into()),
        Some(uuid) => {
            ensure!(is_uuid(uuid), EINVAL, "uevent: not a UUID");
            extra.push(format!("SYNTH_UUID={uuid}"));
        }
    }
    let plain = |word: &str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_alphanumeric());
    for word in words {
        match word.split_once('=') {
            Some((key, value)) if plain(key) && plain(value) => {
                extra.push(format!("SYNTH_ARG_{key}={value}"));
            }
            _ => bail!(EINVAL, "uevent: a variable is letters and digits"),
        }
    }
    stack.with(|net| net.uevent(ifindex, action, &extra));
    Ok(())
}

fn is_uuid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_words() {
        let mut dev = Device::new("d0", DeviceKind::Dummy, [2, 0, 0, 0, 0, 1]);
        dev.ifindex = 7;
        let text = String::from_utf8(message("add", &dev, &["SYNTH_UUID=0".into()], 9)).unwrap();
        let words: Vec<&str> = text.split_terminator('\0').collect();
        assert_eq!(
            words,
            [
                "add@/devices/virtual/net/d0",
                "ACTION=add",
                "DEVPATH=/devices/virtual/net/d0",
                "SUBSYSTEM=net",
                "SYNTH_UUID=0",
                "INTERFACE=d0",
                "IFINDEX=7",
                "SEQNUM=9",
            ]
        );
        assert!(is_uuid("01234567-89ab-cdef-0123-456789abcdef"));
        assert!(!is_uuid("01234567-89ab-cdef-0123-456789abcdeg"));
    }
}
