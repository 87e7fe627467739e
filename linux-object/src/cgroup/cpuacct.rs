//! The cpuacct controller of v1: CPU time used, per CPU (`cgroup-v1/cpuacct.rst`).
//!
//! Model: see [`CpuAccount`]. In cgroup2 every cgroup counts, in `cpu.stat`, without a controller.

use alloc::boxed::Box;
use alloc::sync::Arc;

use super::{CfCx, CfType, Css, CssData, CssEnv, Show, Subsys, Write};
use crate::ensure;
use crate::error::Result;
use crate::fs::seq_file::SeqBuf;
use crate::ids::CpuId;
use crate::sched::{CpuAccount, CpuTimes};

/// Nanoseconds in a unit of `cpuacct.stat` (`USER_HZ` is 100).
const NS_PER_TICK: u64 = 10_000_000;

/// The controller.
pub struct Cpuacct;

/// What it keeps.
pub struct CpuacctCss {
    pub(super) account: Arc<CpuAccount>,
}

impl Subsys for Cpuacct {
    fn name(&self) -> &'static str {
        "cpuacct"
    }
    fn threaded(&self) -> bool {
        true
    }
    fn css_alloc(&self, env: &CssEnv<'_>, parent: Option<&Arc<Css>>) -> Result<CssData> {
        let parent = parent.map(|parent| parent.data::<CpuacctCss>().account.clone());
        Ok(Box::new(CpuacctCss {
            account: CpuAccount::new(parent, env.hal.nr_cpus()),
        }))
    }
    fn legacy_cftypes(&self) -> &'static [CfType] {
        FILES
    }
}

static FILES: &[CfType] = &[
    CfType::new("cpuacct.usage")
        .show(Show::U64(|cx| account(cx).times().total()))
        .write(Write::U64(|cx, value| {
            ensure!(value == 0, EINVAL, "cpuacct.usage: can only be set to 0");
            account(cx).reset();
            Ok(())
        })),
    CfType::new("cpuacct.usage_user").show(Show::U64(|cx| account(cx).times().user)),
    CfType::new("cpuacct.usage_sys").show(Show::U64(|cx| account(cx).times().system)),
    CfType::new("cpuacct.usage_percpu").show(Show::Text(|cx, out| per_cpu(cx, out, CpuTimes::total))),
    CfType::new("cpuacct.usage_percpu_user").show(Show::Text(|cx, out| per_cpu(cx, out, |times| times.user))),
    CfType::new("cpuacct.usage_percpu_sys")
        .show(Show::Text(|cx, out| per_cpu(cx, out, |times| times.system))),
    CfType::new("cpuacct.usage_all").show(Show::Text(|cx, out| {
        let account = account(cx);
        writeln!(out, "cpu user system")?;
        for cpu in cx.kernel.sched.cpu_mask().iter() {
            let times = account.on_cpu(cpu);
            writeln!(out, "{} {} {}", cpu.0, times.user, times.system)?;
        }
        Ok(())
    })),
    CfType::new("cpuacct.stat").show(Show::Text(|cx, out| {
        let times = account(cx).times();
        writeln!(out, "user {}", times.user / NS_PER_TICK)?;
        writeln!(out, "system {}", times.system / NS_PER_TICK)
    })),
];

/// The account, up to now.
fn account<'a>(cx: &'a CfCx<'_>) -> &'a CpuAccount {
    cx.kernel.sched.flush_accounts();
    &cx.css().data::<CpuacctCss>().account
}

fn per_cpu(cx: &CfCx<'_>, out: &mut SeqBuf, part: fn(CpuTimes) -> u64) -> Result<()> {
    let account = account(cx);
    for cpu in cx.kernel.sched.cpu_mask().iter() {
        write!(out, "{} ", part(account.on_cpu(CpuId(cpu.0))))?;
    }
    out.byte(b'\n')
}
