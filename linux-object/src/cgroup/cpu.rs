//! The cpu controller: weights and limits of CPU time (`cgroup-v2.rst`, `sched-bwc.rst`,
//! `sched-design-CFS.rst`).
//!
//! Model: a css is a [`TaskGroup`] of the scheduler; the files read and set its weight and its
//! limit. In v1 a group's limit must be within its parent's, as a share of time; in cgroup2 any limit may be
//! set and the tightest one holds.
//!
//! Locks: limits are checked and set under `CgroupMembership`.

use alloc::boxed::Box;
use alloc::sync::Arc;

use super::{
    CfCx, CfFlags, CfType, CgroupMembership, Css, CssData, CssEnv, CssSet, Show, Subsys, SubsysId, Write,
};
use crate::error::Result;
use crate::fs::seq_file::SeqBuf;
use crate::sched::{
    DEFAULT_WEIGHT, Limit, NICE_0_WEIGHT, NICE_RANGE, TaskGroup, WEIGHT_SHIFT, nice_to_weight,
};
use crate::task::Task;
use crate::{bail, ensure};

/// The range of `cpu.weight`.
const CGROUP_WEIGHTS: core::ops::RangeInclusive<u64> = 1..=10_000;
/// What is made of any number written to `cpu.shares`.
const MIN_SHARES: u64 = 2;
const MAX_SHARES: u64 = 1 << 18;
/// Bounds of periods, and the least quota, in nanoseconds.
const MIN_PERIOD: u64 = 1_000_000;
const MAX_PERIOD: u64 = 1_000_000_000;
/// Binary places of the share of time that a limit is.
const BW_SHIFT: u32 = 20;
/// The largest quota.
const MAX_QUOTA: u64 = ((1 << (64 - BW_SHIFT)) - 1) * 1000;

/// The controller.
pub struct Cpu;

/// What it keeps.
pub struct CpuCss {
    pub(super) group: Arc<TaskGroup>,
}

impl Subsys for Cpu {
    fn name(&self) -> &'static str {
        "cpu"
    }
    fn threaded(&self) -> bool {
        true
    }
    fn css_alloc(&self, env: &CssEnv<'_>, parent: Option<&Arc<Css>>) -> Result<CssData> {
        let group = match parent {
            None => env.sched.root_group().clone(),
            Some(parent) => TaskGroup::new(&parent.data::<CpuCss>().group, NICE_0_WEIGHT),
        };
        Ok(Box::new(CpuCss { group }))
    }
    fn css_offline(&self, css: &Arc<Css>) {
        css.data::<CpuCss>().group.set_offline();
    }
    fn dfl_cftypes(&self) -> &'static [CfType] {
        DFL_FILES
    }
    fn legacy_cftypes(&self) -> &'static [CfType] {
        LEGACY_FILES
    }
}

impl Task {
    /// The scheduler's side of being in a set: the task's group, and where its time is charged.
    pub(super) fn follow_css_set(self: &Arc<Task>, set: &CssSet) {
        let group = group_of_css(set.css(SubsysId::Cpu));
        self.kernel().sched.move_to_group(self, group, set.accounts());
    }
}

/// The group of tasks behind a css.
pub(super) fn group_of_css(css: &Css) -> &Arc<TaskGroup> {
    &css.data::<CpuCss>().group
}

fn group<'a>(cx: &'a CfCx<'_>) -> &'a Arc<TaskGroup> {
    group_of_css(cx.css())
}

static DFL_FILES: &[CfType] = &[
    CfType::new("cpu.weight")
        .flags(CfFlags::NOT_ON_ROOT)
        .show(Show::U64(|cx| shares_to_weight(shares(group(cx)))))
        .write(Write::U64(|cx, weight| {
            ensure!(CGROUP_WEIGHTS.contains(&weight), ERANGE, "cpu.weight: 1 to 10000");
            set_shares(cx, (weight * 1024 + DEFAULT_WEIGHT / 2) / DEFAULT_WEIGHT)
        })),
    CfType::new("cpu.weight.nice")
        .flags(CfFlags::NOT_ON_ROOT)
        .show(Show::I64(|cx| nearest_nice(group(cx).weight())))
        .write(Write::I64(|cx, nice| {
            let nice = i32::try_from(nice).ok().filter(|nice| NICE_RANGE.contains(nice));
            let Some(nice) = nice else {
                bail!(ERANGE, "cpu.weight.nice: -20 to 19")
            };
            set_shares(cx, nice_to_weight(nice) >> WEIGHT_SHIFT)
        })),
    CfType::new("cpu.idle")
        .flags(CfFlags::NOT_ON_ROOT)
        .show(Show::I64(|cx| group(cx).is_idle().into()))
        .write(Write::I64(set_idle)),
    CfType::new("cpu.max")
        .flags(CfFlags::NOT_ON_ROOT)
        .show(Show::Text(|cx, out| {
            let limit = group(cx).bandwidth().limit();
            match limit.quota {
                None => write!(out, "max")?,
                Some(quota) => write!(out, "{}", quota / 1000)?,
            }
            writeln!(out, " {}", limit.period / 1000)
        }))
        .write(Write::Text(|cx, data| {
            let now = group(cx).bandwidth().limit();
            let (quota, period) = parse_max(data, now.period)?;
            set_limit(cx, |limit| Limit {
                quota,
                period,
                ..limit
            })
        })),
    CfType::new("cpu.max.burst")
        .flags(CfFlags::NOT_ON_ROOT)
        .show(Show::U64(|cx| group(cx).bandwidth().limit().burst / 1000))
        .write(Write::U64(set_burst)),
];

/// `cpu.stat` of cgroup2 is there in every cgroup, with or without the controller.
pub(super) static BASE_FILES: &[CfType] = &[CfType::new("cpu.stat").show(Show::Text(|cx, out| {
    cx.kernel.sched.flush_accounts();
    if let Some(account) = cx.cgroup.cpu_account() {
        let times = account.times();
        writeln!(out, "usage_usec {}", times.total() / 1000)?;
        writeln!(out, "user_usec {}", times.user / 1000)?;
        writeln!(out, "system_usec {}", times.system / 1000)?;
    }
    match cx.cgroup.css(SubsysId::Cpu) {
        Some(css) if !css.is_root() => {
            let stat = css.data::<CpuCss>().group.bandwidth().stat(cx.kernel.hal.now().0);
            writeln!(out, "nr_periods {}", stat.nr_periods)?;
            writeln!(out, "nr_throttled {}", stat.nr_throttled)?;
            writeln!(out, "throttled_usec {}", stat.throttled_time / 1000)?;
            writeln!(out, "nr_bursts {}", stat.nr_bursts)?;
            writeln!(out, "burst_usec {}", stat.burst_time / 1000)
        }
        _ => Ok(()),
    }
}))];

static LEGACY_FILES: &[CfType] = &[
    CfType::new("cpu.shares")
        .show(Show::U64(|cx| shares(group(cx))))
        .write(Write::U64(|cx, shares| {
            set_shares(cx, shares.clamp(MIN_SHARES, MAX_SHARES))
        })),
    CfType::new("cpu.idle")
        .show(Show::I64(|cx| group(cx).is_idle().into()))
        .write(Write::I64(set_idle)),
    CfType::new("cpu.cfs_quota_us")
        .show(Show::I64(|cx| {
            let quota = group(cx).bandwidth().limit().quota;
            quota.map_or(-1, |quota| (quota / 1000) as i64)
        }))
        .write(Write::I64(|cx, quota| {
            let quota = match u64::try_from(quota) {
                Err(_) => None,
                Ok(quota) => Some(nanoseconds(quota)?),
            };
            set_limit(cx, |limit| Limit { quota, ..limit })
        })),
    CfType::new("cpu.cfs_period_us")
        .show(Show::U64(|cx| group(cx).bandwidth().limit().period / 1000))
        .write(Write::U64(|cx, period| {
            let period = nanoseconds(period)?;
            set_limit(cx, |limit| Limit { period, ..limit })
        })),
    CfType::new("cpu.cfs_burst_us")
        .show(Show::U64(|cx| group(cx).bandwidth().limit().burst / 1000))
        .write(Write::U64(set_burst)),
    CfType::new("cpu.stat").show(Show::Text(legacy_stat)),
];

fn legacy_stat(cx: &CfCx<'_>, out: &mut SeqBuf) -> Result<()> {
    let stat = group(cx).bandwidth().stat(cx.kernel.hal.now().0);
    writeln!(out, "nr_periods {}", stat.nr_periods)?;
    writeln!(out, "nr_throttled {}", stat.nr_throttled)?;
    writeln!(out, "throttled_time {}", stat.throttled_time)?;
    writeln!(out, "nr_bursts {}", stat.nr_bursts)?;
    writeln!(out, "burst_time {}", stat.burst_time)
}

fn shares(group: &TaskGroup) -> u64 {
    group.weight() >> WEIGHT_SHIFT
}

fn shares_to_weight(shares: u64) -> u64 {
    (shares * DEFAULT_WEIGHT + 512) / 1024
}

/// The nice level whose weight is nearest.
fn nearest_nice(weight: u64) -> i64 {
    let levels = NICE_RANGE.map(i64::from);
    let nearest = levels.min_by_key(|nice| nice_to_weight(*nice as i32).abs_diff(weight));
    nearest.unwrap_or(0)
}

fn set_shares(cx: &CfCx<'_>, shares: u64) -> Result<()> {
    let _membership = cx.kernel.cgroups.lock();
    ensure!(!cx.css().is_root(), EINVAL, "cpu: the root has no weight");
    ensure!(!group(cx).is_idle(), EINVAL, "cpu: an idle group has no weight");
    cx.kernel
        .sched
        .set_group_weight(group(cx), shares << WEIGHT_SHIFT);
    Ok(())
}

fn set_idle(cx: &CfCx<'_>, idle: i64) -> Result<()> {
    let _membership = cx.kernel.cgroups.lock();
    ensure!(!cx.css().is_root(), EINVAL, "cpu.idle: the root is not idle");
    ensure!(matches!(idle, 0 | 1), EINVAL, "cpu.idle: 0 or 1");
    if group(cx).is_idle() != (idle == 1) {
        cx.kernel.sched.set_group_idle(group(cx), idle == 1);
    }
    Ok(())
}

fn nanoseconds(microseconds: u64) -> Result<u64> {
    match microseconds.checked_mul(1000) {
        Some(ns) => Ok(ns),
        None => bail!(EINVAL, "cpu: more than can be counted"),
    }
}

fn set_burst(cx: &CfCx<'_>, burst: u64) -> Result<()> {
    let burst = nanoseconds(burst)?;
    set_limit(cx, |limit| Limit { burst, ..limit })
}

fn set_limit(cx: &CfCx<'_>, change: impl Fn(Limit) -> Limit) -> Result<()> {
    let mut membership = cx.kernel.cgroups.lock();
    let limit = change(group(cx).bandwidth().limit());
    ensure!(!cx.css().is_root(), EINVAL, "cpu: the root has no limit");
    check(&limit)?;
    fits(cx.css(), &limit, &mut membership)?;
    cx.kernel.sched.set_group_limit(group(cx), limit);
    Ok(())
}

/// Whether the figures are in their bounds.
fn check(limit: &Limit) -> Result<()> {
    ensure!(
        limit.quota.is_none_or(|quota| quota >= MIN_PERIOD),
        EINVAL,
        "cpu: a quota below 1 ms"
    );
    ensure!(
        (MIN_PERIOD..=MAX_PERIOD).contains(&limit.period),
        EINVAL,
        "cpu: periods are 1 ms to 1 s"
    );
    if let Some(quota) = limit.quota {
        ensure!(quota <= MAX_QUOTA, EINVAL, "cpu: more than can be counted");
        ensure!(
            limit.burst <= quota && limit.burst + quota <= MAX_QUOTA,
            EINVAL,
            "cpu: a burst above the quota"
        );
    }
    Ok(())
}

/// The share of time that a limit is.
fn ratio(limit: &Limit) -> Option<u64> {
    let share = |quota| (u128::from(quota) << BW_SHIFT) / u128::from(limit.period);
    limit.quota.map(|quota| share(quota) as u64)
}

/// In v1: whether all limits are within those above them if this css had this one.
fn fits(css: &Arc<Css>, limit: &Limit, _: &mut CgroupMembership) -> Result<()> {
    let Some(cgroup) = css.cgroup().filter(|cgroup| !cgroup.on_dfl()) else {
        return Ok(());
    };
    let own = |other: &Arc<Css>| {
        if Arc::ptr_eq(other, css) {
            ratio(limit)
        } else {
            ratio(&other.data::<CpuCss>().group.bandwidth().limit())
        }
    };
    for below in cgroup.subtree() {
        let Some(below) = below.css(SubsysId::Cpu) else {
            continue;
        };
        let above = below.self_and_ancestors().skip(1).find_map(own);
        if let (Some(mine), Some(above)) = (own(&below), above) {
            ensure!(mine <= above, EINVAL, "cpu: a limit above that of the parent");
        }
    }
    Ok(())
}

/// `cpu.max`: a number or `max`, and perhaps a period, in microseconds. What follows is not looked at
/// (Linux reads it with `sscanf`).
fn parse_max(data: &[u8], period: u64) -> Result<(Option<u64>, u64)> {
    let is_space = |byte: &u8| matches!(byte, b' ' | b'\t'..=b'\r');
    let mut words = data.split(is_space).filter(|word| !word.is_empty());
    let Some(word) = words.next() else {
        bail!(EINVAL, "cpu.max: empty")
    };
    // A word longer than this is cut, and the rest is read as the period.
    let (word, rest) = word.split_at(word.len().min(20));
    let second = if rest.is_empty() { words.next() } else { Some(rest) };
    let period = match second.and_then(leading_number) {
        Some(period) => period.wrapping_mul(1000),
        None => period,
    };
    let quota = match leading_number(word) {
        Some(quota) => Some(quota.wrapping_mul(1000)),
        None if word == b"max" => None,
        None => bail!(EINVAL, "cpu.max: neither a number nor max"),
    };
    Ok((quota, period))
}

/// The decimal number at the start; what is too large wraps around.
fn leading_number(word: &[u8]) -> Option<u64> {
    let digits = word.iter().take_while(|byte| byte.is_ascii_digit());
    let number = digits.map(|digit| u64::from(digit - b'0'));
    number.fold(None, |value, digit| {
        Some(value.unwrap_or(0u64).wrapping_mul(10).wrapping_add(digit))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_max_is_read_as_linux_does() {
        let parse = |text: &str| parse_max(text.as_bytes(), 7).ok();
        assert_eq!(parse("max\n"), Some((None, 7)));
        assert_eq!(parse("5000"), Some((Some(5_000_000), 7)));
        assert_eq!(
            parse(" 5000 \t20000 garbage"),
            Some((Some(5_000_000), 20_000_000))
        );
        assert_eq!(parse("5000 x"), Some((Some(5_000_000), 7)));
        assert_eq!(parse("50x"), Some((Some(50_000), 7)));
        for bad in ["", " \n", "maximum", "-1", "x 5000", "+5"] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn weights_go_and_come_back() {
        for weight in CGROUP_WEIGHTS {
            let shares = (weight * 1024 + 50) / 100;
            assert_eq!(shares_to_weight(shares), weight);
        }
        assert_eq!(nearest_nice(NICE_0_WEIGHT), 0);
        assert_eq!(nearest_nice(1 << WEIGHT_SHIFT), 19);
        assert_eq!(nearest_nice(u64::MAX), -20);
        assert_eq!(nearest_nice(1000 << WEIGHT_SHIFT), 0);
    }

    #[test]
    fn limits_have_bounds() {
        let limit = |quota, period, burst| Limit { quota, period, burst };
        let ms = 1_000_000;
        assert!(check(&limit(Some(ms), ms, 0)).is_ok());
        assert!(check(&limit(Some(ms - 1), ms, 0)).is_err());
        assert!(check(&limit(None, ms - 1, 0)).is_err());
        assert!(check(&limit(None, 1001 * ms, 0)).is_err());
        assert!(check(&limit(None, ms, 50 * ms)).is_ok());
        assert!(check(&limit(Some(ms), ms, ms + 1)).is_err());
        assert!(check(&limit(Some(MAX_QUOTA + 1), ms, 0)).is_err());
        assert_eq!(ratio(&limit(Some(ms), 2 * ms, 0)), Some(1 << 19));
    }
}
