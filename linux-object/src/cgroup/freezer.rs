//! The v1 freezer (`cgroup-v1/freezer-subsystem.rst`).
//!
//! Model: a cgroup is freezing if it or an ancestor was told `FROZEN`. Its tasks sleep until all of them
//! are thawed; nothing wakes them, not even SIGKILL. It reads `FROZEN` once all tasks of the
//! subtree sleep, `FREEZING` before.

use alloc::boxed::Box;
use alloc::sync::Arc;
use core::sync::atomic::{AtomicBool, Ordering};

use super::{CfCx, CfFlags, CfType, Cgroup, Css, CssData, CssEnv, Show, Subsys, SubsysId, Write, strip};
use crate::bail;
use crate::error::Result;
use crate::fs::seq_file::SeqBuf;
use crate::task::Task;

/// The controller.
pub struct Freezer;

/// What it keeps.
struct FreezerCss {
    /// Told so itself.
    self_freezing: AtomicBool,
    /// Told so itself, or an ancestor was.
    freezing: AtomicBool,
}

fn is_freezing(css: &Css) -> bool {
    css.data::<FreezerCss>().freezing.load(Ordering::SeqCst)
}
fn parent_freezing(css: &Css) -> bool {
    css.parent().is_some_and(|parent| is_freezing(parent))
}

impl Subsys for Freezer {
    fn name(&self) -> &'static str {
        "freezer"
    }
    fn css_alloc(&self, _env: &CssEnv<'_>, parent: Option<&Arc<Css>>) -> Result<CssData> {
        let freezing = parent.is_some_and(|parent| is_freezing(parent));
        Ok(Box::new(FreezerCss {
            self_freezing: AtomicBool::new(false),
            freezing: AtomicBool::new(freezing),
        }))
    }
    fn moved(&self, task: &Arc<Task>, _from: &Arc<Css>, to: &Arc<Css>) {
        task.ask_to_freeze_hard(is_freezing(to));
    }
    fn linked(&self, child: &Arc<Task>, css: &Arc<Css>) {
        if is_freezing(css) {
            child.ask_to_freeze_hard(true);
        }
    }
    fn legacy_cftypes(&self) -> &'static [CfType] {
        FILES
    }
}

static FILES: &[CfType] = &[
    CfType::new("freezer.state")
        .flags(CfFlags::NOT_ON_ROOT)
        .show(Show::Text(show_state))
        .write(Write::Text(write_state)),
    CfType::new("freezer.self_freezing")
        .flags(CfFlags::NOT_ON_ROOT)
        .show(Show::U64(|cx| {
            let css = cx.css().data::<FreezerCss>();
            css.self_freezing.load(Ordering::Relaxed).into()
        })),
    CfType::new("freezer.parent_freezing")
        .flags(CfFlags::NOT_ON_ROOT)
        .show(Show::U64(|cx| parent_freezing(cx.css()).into())),
];

fn all_frozen(cgroup: &Arc<Cgroup>) -> bool {
    cgroup.subtree().all(|below| {
        below
            .threads()
            .iter()
            .all(|task| task.is_frozen() || task.is_exiting())
    })
}

fn show_state(cx: &CfCx<'_>, out: &mut SeqBuf) -> Result<()> {
    out.bytes(if !is_freezing(cx.css()) {
        b"THAWED\n"
    } else if all_frozen(cx.cgroup) {
        b"FROZEN\n"
    } else {
        b"FREEZING\n"
    })
}

fn write_state(cx: &CfCx<'_>, data: &[u8]) -> Result<()> {
    let freeze = match strip(data) {
        b"FROZEN" => true,
        b"THAWED" => false,
        _ => bail!(EINVAL, "freezer.state: FROZEN or THAWED"),
    };
    let _membership = cx.kernel.cgroups.lock();
    cx.css()
        .data::<FreezerCss>()
        .self_freezing
        .store(freeze, Ordering::Relaxed);
    for below in cx.cgroup.subtree() {
        let Some(css) = below.css(SubsysId::Freezer) else {
            continue;
        };
        let own = css.data::<FreezerCss>();
        let freezing = parent_freezing(&css) || own.self_freezing.load(Ordering::Relaxed);
        if own.freezing.swap(freezing, Ordering::SeqCst) == freezing {
            continue;
        }
        for set in below.sets() {
            let tasks = set.tasks.lock();
            for task in tasks.live.values() {
                task.ask_to_freeze_hard(freezing);
            }
        }
    }
    Ok(())
}
