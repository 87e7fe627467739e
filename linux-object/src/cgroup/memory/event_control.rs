//! `cgroup.event_control`: "descriptor of an eventfd, descriptor of a file of the cgroup, arguments".

use alloc::sync::Arc;

use super::limits::parse_pages;
use super::memcg_of_css;
use crate::cgroup::{CfCx, strip};
use crate::error::Result;
use crate::fs::eventfd::EventFd;
use crate::fs::permission::{Access, generic_permission};
use crate::ids::Fd;
use crate::mm::memcg::{Pressure, Reach, Watched};
use crate::{bail, ensure, err};

/// Decimal digits at the front, and what follows them; none are 0 (Linux's `simple_strtoul`).
fn number(text: &[u8]) -> (Fd, &[u8]) {
    let end = text
        .iter()
        .position(|byte| !byte.is_ascii_digit())
        .unwrap_or(text.len());
    let value = text[..end].iter().fold(0u64, |value, byte| {
        value.wrapping_mul(10).wrapping_add(u64::from(byte - b'0'))
    });
    (Fd(value as i32), &text[end..])
}

/// What the arguments ask of the file.
fn parse(file: &str, args: &[u8]) -> Result<Watched> {
    match file {
        // Without swap both are the same.
        "memory.usage_in_bytes" | "memory.memsw.usage_in_bytes" => {
            Ok(Watched::Usage(parse_pages(args, b"-1")?))
        }
        "memory.oom_control" => Ok(Watched::Oom),
        "memory.pressure_level" => {
            let mut words = args.split(|&byte| byte == b',');
            let level = match words.next().unwrap_or_default() {
                b"low" => Pressure::Low,
                b"medium" => Pressure::Medium,
                b"critical" => Pressure::Critical,
                _ => bail!(EINVAL, "memory.pressure_level: no such level"),
            };
            let reach = match words.next() {
                None | Some(b"default") => Reach::Default,
                Some(b"hierarchy") => Reach::Hierarchy,
                Some(b"local") => Reach::Local,
                Some(_) => bail!(EINVAL, "memory.pressure_level: no such mode"),
            };
            Ok(Watched::Pressure(level, reach))
        }
        _ => bail!(EINVAL, "cgroup.event_control: a file that tells of nothing"),
    }
}

/// Registers an eventfd.
pub(super) fn write(cx: &CfCx<'_>, data: &[u8]) -> Result<()> {
    let (eventfd, rest) = number(strip(data));
    let rest = rest
        .strip_prefix(b" ")
        .ok_or(err!(EINVAL, "cgroup.event_control: no space"))?;
    let (watched, rest) = number(rest);
    let args = match rest {
        [] => rest,
        [b' ', args @ ..] => args,
        _ => bail!(EINVAL, "cgroup.event_control: no space"),
    };
    let files = cx.task.files();
    let eventfd = files.get(eventfd)?;
    let ops = eventfd.ops.as_ref().filter(|ops| ops.as_any().is::<EventFd>());
    let ops = ops.ok_or(err!(EINVAL, "cgroup.event_control: not an eventfd"))?;
    let watched = files.get(watched)?;
    generic_permission(&cx.task.cred(), watched.inode.owner(), false, Access::READ)?;
    let (cgroup, line) = crate::cgroup::fs::file_of(&watched)
        .ok_or(err!(EINVAL, "cgroup.event_control: not a file of a cgroup"))?;
    let what = parse(line.name, args)?;
    ensure!(
        Arc::ptr_eq(cgroup, cx.cgroup),
        EINVAL,
        "cgroup.event_control: the file of another cgroup"
    );
    cx.kernel.memory.control.watch(memcg_of_css(cx.css()), what, ops)
}
