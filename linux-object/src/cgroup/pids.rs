//! The pids controller: how many tasks there may be (`cgroup-v1/pids.rst`, `cgroup-v2.rst`).
//!
//! Model: every task counts, from its birth until it is reaped, in its cgroup and all ancestors. A fork
//! that would exceed a limit fails; a migration may exceed it. The root counts nothing and
//! limits nothing.

use alloc::boxed::Box;
use alloc::sync::Arc;
use core::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use super::{CfCx, CfFlags, CfType, Css, CssData, CssEnv, Show, Subsys, Write, parse_limit, show_limit};
use crate::error::Result;
use crate::task::Task;
use crate::{bail, ensure};

/// No limit, and the largest one that can be set: more than there can be pids.
const PIDS_MAX: i64 = 4 * 1024 * 1024 + 1;

/// The controller.
pub struct Pids;

/// What it keeps.
pub struct PidsCss {
    current: AtomicI64,
    peak: AtomicI64,
    limit: AtomicI64,
    /// How often a fork failed because of this limit.
    failed: AtomicU64,
}

impl PidsCss {
    /// Counts tasks; returns how many there are then.
    fn add(&self, count: i64) -> i64 {
        let now = self.current.fetch_add(count, Ordering::Relaxed) + count;
        if now > self.peak.load(Ordering::Relaxed) {
            self.peak.fetch_max(now, Ordering::Relaxed);
        }
        now
    }
    /// Tasks in the subtree.
    pub fn current(&self) -> i64 {
        self.current.load(Ordering::Relaxed)
    }
}

/// The csses that count a task of `css`: all but the root.
fn counting(css: &Arc<Css>) -> impl Iterator<Item = &Arc<Css>> {
    css.self_and_ancestors().filter(|css| !css.is_root())
}

fn add(css: &Arc<Css>, count: i64) {
    for css in counting(css) {
        css.data::<PidsCss>().add(count);
    }
}

impl Subsys for Pids {
    fn name(&self) -> &'static str {
        "pids"
    }
    fn threaded(&self) -> bool {
        true
    }
    fn css_alloc(&self, _env: &CssEnv<'_>, _parent: Option<&Arc<Css>>) -> Result<CssData> {
        Ok(Box::new(PidsCss {
            current: AtomicI64::new(0),
            peak: AtomicI64::new(0),
            limit: AtomicI64::new(PIDS_MAX),
            failed: AtomicU64::new(0),
        }))
    }
    fn moved(&self, _task: &Arc<Task>, from: &Arc<Css>, to: &Arc<Css>) {
        add(to, 1);
        add(from, -1);
    }
    fn can_fork(&self, _parent: &Arc<Task>, css: &Arc<Css>) -> Result<()> {
        for (n, at) in counting(css).enumerate() {
            let pids = at.data::<PidsCss>();
            let now = pids.current.fetch_add(1, Ordering::Relaxed) + 1;
            if now > pids.limit.load(Ordering::Relaxed) {
                for undo in counting(css).take(n + 1) {
                    undo.data::<PidsCss>().current.fetch_sub(1, Ordering::Relaxed);
                }
                // Linux tells of it in the cgroup that the fork was tried in, whichever limit it was.
                let own = css.data::<PidsCss>();
                if own.failed.fetch_add(1, Ordering::Relaxed) == 0
                    && let Some(cgroup) = css.cgroup()
                {
                    log::info!(
                        "cgroup: fork rejected by pids controller in {}",
                        alloc::string::String::from_utf8_lossy(&cgroup.path())
                    );
                }
                css.notify("pids.events");
                bail!(EAGAIN, "clone: pids.max of the cgroup or of one above it");
            }
            if now > pids.peak.load(Ordering::Relaxed) {
                pids.peak.fetch_max(now, Ordering::Relaxed);
            }
        }
        Ok(())
    }
    fn cancel_fork(&self, css: &Arc<Css>) {
        add(css, -1);
    }
    fn release(&self, _task: &Arc<Task>, css: &Arc<Css>) {
        add(css, -1);
    }
    fn dfl_cftypes(&self) -> &'static [CfType] {
        FILES
    }
    fn legacy_cftypes(&self) -> &'static [CfType] {
        FILES
    }
}

static FILES: &[CfType] = &[
    CfType::new("pids.max")
        .flags(CfFlags::NOT_ON_ROOT)
        .show(Show::Text(|cx, out| {
            let limit = cx.css().data::<PidsCss>().limit.load(Ordering::Relaxed);
            show_limit((limit < PIDS_MAX).then_some(limit as u64), out)
        }))
        .write(Write::Text(set_max)),
    CfType::new("pids.current")
        .flags(CfFlags::NOT_ON_ROOT)
        .show(Show::I64(|cx| cx.css().data::<PidsCss>().current())),
    CfType::new("pids.peak")
        .flags(CfFlags::NOT_ON_ROOT)
        .show(Show::I64(|cx| {
            cx.css().data::<PidsCss>().peak.load(Ordering::Relaxed)
        })),
    CfType::new("pids.events")
        .flags(CfFlags::NOT_ON_ROOT)
        .show(Show::Text(|cx, out| {
            let failed = cx.css().data::<PidsCss>().failed.load(Ordering::Relaxed);
            writeln!(out, "max {failed}")
        })),
];

/// A limit below what there is stops forks until enough tasks have gone.
fn set_max(cx: &CfCx<'_>, data: &[u8]) -> Result<()> {
    let limit = match parse_limit(data)? {
        None => PIDS_MAX,
        Some(limit) => {
            ensure!(
                (0..PIDS_MAX).contains(&limit),
                EINVAL,
                "pids.max: more than there can be pids"
            );
            limit
        }
    };
    cx.css().data::<PidsCss>().limit.store(limit, Ordering::Relaxed);
    Ok(())
}
