//! A program that limits itself with the `cgroups-rs` crate, on control groups of v1 or v2, and prints what the
//! crate reads back.

use cgroups_rs::cgroup_builder::CgroupBuilder;
use cgroups_rs::cpu::CpuController;
use cgroups_rs::cpuacct::CpuAcctController;
use cgroups_rs::memory::MemController;
use cgroups_rs::pid::PidController;
use cgroups_rs::{Cgroup, CgroupPid, MaxValue, hierarchies};
use std::process::{Command, ExitCode};

fn main() -> ExitCode {
    match limit_a_child() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("cgprog: {error}");
            ExitCode::FAILURE
        }
    }
}

fn limit_a_child() -> Result<(), Box<dyn std::error::Error>> {
    println!("cgroup2 unified: {}", hierarchies::is_cgroup2_unified_mode());
    let root = Cgroup::load(hierarchies::auto(), "");
    println!("root v2={} path={:?}", root.v2(), root.path());
    let names: Vec<String> = root
        .subsystems()
        .iter()
        .map(|s| s.to_controller().control_type().to_string())
        .collect();
    println!("subsystems: {names:?}");

    let group = CgroupBuilder::new("cgprog")
        .memory()
        .memory_hard_limit(64 << 20)
        .done()
        .cpu()
        .shares(512)
        .quota(50_000)
        .period(100_000)
        .done()
        .pid()
        .maximum_number_of_processes(MaxValue::Value(32))
        .done()
        .build(hierarchies::auto())?;
    println!("exists={}", group.exists());

    let mut child = Command::new("sh")
        .args([
            "-c",
            "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done; echo loop done; sleep 1",
        ])
        .spawn()?;
    let pid = CgroupPid::from(u64::from(child.id()));
    let added = if root.v2() {
        group.add_task_by_tgid(pid)
    } else {
        group.add_task(pid)
    };
    if added.is_err() {
        println!("added={added:?}");
    }
    println!("tasks={} procs={}", group.tasks().len(), group.procs().len());
    std::thread::sleep(std::time::Duration::from_millis(1500));
    show(&group);
    println!("wait={:?}", child.wait()?.code());
    println!("delete={:?}", group.delete());
    Ok(())
}

/// What the controllers count, without the numbers that differ from run to run.
fn show(group: &Cgroup) {
    match group.controller_of::<CpuAcctController>() {
        Some(c) => println!("cpuacct used={}", c.cpuacct().usage > 0),
        None => println!("No cpuacct controller (v2)"),
    }
    if let Some(c) = group.controller_of::<MemController>() {
        let memory = c.memory_stat();
        println!(
            "mem used={} limit={}",
            memory.usage_in_bytes > 0,
            memory.limit_in_bytes
        );
    }
    if let Some(c) = group.controller_of::<CpuController>() {
        let cpu = c.cpu();
        let keys: Vec<&str> = cpu.stat.lines().filter_map(|l| l.split(' ').next()).collect();
        println!("cpu.stat: {}", keys.join(" "));
        println!(
            "quota={:?} period={:?} shares={:?}",
            c.cfs_quota(),
            c.cfs_period(),
            c.shares()
        );
    }
    if let Some(c) = group.controller_of::<PidController>() {
        println!("pids max={:?} current={:?}", c.get_pid_max(), c.get_pid_current());
    }
}
