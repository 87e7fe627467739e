//! The run queue against an ideal fluid model: a CPU that all runnable tasks use at the same time,
//! in proportion to their weights, group by group.

use alloc::sync::Arc;
use alloc::vec::Vec;

use super::fair::Tunables;
use super::run_queue::RunQueue;
use super::weight::{NICE_0_WEIGHT, nice_to_weight};
use super::*;

pub(super) struct Random(pub(super) u64);
impl Random {
    pub(super) fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % n
    }
}

struct Model {
    rq: RunQueue<SchedTask>,
    groups: Vec<Arc<TaskGroup>>,
    tasks: Vec<Arc<SchedTask>>,
    runnable: Vec<bool>,
    fluid: Vec<f64>,
    now: u64,
}

impl Model {
    fn new(random: &mut Random, nr_groups: u64, nr_tasks: u64, nice: bool) -> Model {
        let root = TaskGroup::root(1);
        let rq = RunQueue::new(CpuId(0), &root, Tunables::default());
        let mut groups = alloc::vec![root];
        for _ in 0..nr_groups {
            let parent = groups[random.below(groups.len() as u64) as usize].clone();
            let weight = (1 + random.below(400)) * NICE_0_WEIGHT / 100;
            groups.push(TaskGroup::new(&parent, weight));
        }
        let tasks: Vec<_> = (0..nr_tasks)
            .map(|_| {
                let group = groups[random.below(groups.len() as u64) as usize].clone();
                let task = SchedTask::new(group);
                if nice {
                    let nice = random.below(20) as i8 - 10;
                    task.install(&SchedParams {
                        nice,
                        ..SchedParams::default()
                    });
                }
                Arc::new(task)
            })
            .collect();
        Model {
            runnable: alloc::vec![false; tasks.len()],
            fluid: alloc::vec![0.0; tasks.len()],
            rq,
            groups,
            tasks,
            now: 0,
        }
    }

    /// Share of the CPU that each task has in the ideal.
    fn shares(&self) -> Vec<f64> {
        let busy = |group: &Arc<TaskGroup>| {
            self.tasks.iter().zip(&self.runnable).any(|(task, runs)| {
                let mut at = Some(task.group());
                while let Some(g) = at {
                    if Arc::ptr_eq(&g, group) {
                        return *runs;
                    }
                    at = g.parent().cloned();
                }
                false
            })
        };
        let busy: Vec<bool> = self.groups.iter().map(busy).collect();
        let weight_in = |group: &Arc<TaskGroup>| -> f64 {
            let tasks = self.tasks.iter().zip(&self.runnable);
            let tasks = tasks.filter(|(task, runs)| **runs && Arc::ptr_eq(&task.group(), group));
            let groups = self.groups.iter().zip(&busy);
            let groups = groups.filter(|(g, b)| **b && g.parent().is_some_and(|p| Arc::ptr_eq(p, group)));
            tasks.map(|(task, _)| task.entity.weight() as f64).sum::<f64>()
                + groups.map(|(g, _)| g.weight() as f64).sum::<f64>()
        };
        self.tasks
            .iter()
            .zip(&self.runnable)
            .map(|(task, runs)| {
                if !runs {
                    return 0.0;
                }
                let mut group = task.group();
                let mut share = task.entity.weight() as f64 / weight_in(&group);
                while let Some(parent) = group.parent().cloned() {
                    share *= group.weight() as f64 / weight_in(&parent);
                    group = parent;
                }
                share
            })
            .collect()
    }

    fn used(&self, n: usize) -> f64 {
        self.tasks[n].charged().total() as f64
    }

    fn set_runnable(&mut self, n: usize, runs: bool) {
        if self.runnable[n] == runs {
            return;
        }
        self.runnable[n] = runs;
        let task = self.tasks[n].clone();
        if runs {
            self.rq.enqueue(&task, Enqueue::Wakeup);
            assert!(self.rq.contains(&task));
        } else if self.rq.is_curr(&task) {
            self.rq.put_prev(true);
        } else {
            self.rq.dequeue(&task);
        }
    }

    /// Runs for `span`, switching where the run queue says so.
    fn run(&mut self, random: &mut Random, span: u64) {
        let end = self.now + span;
        let shares = self.shares();
        while self.now < end {
            if self.rq.curr().is_none() && self.rq.pick_next().is_none() {
                self.now = end;
                self.rq.update_curr(end);
                break;
            }
            let mut step = self.rq.next_tick().unwrap_or(span).max(MIN_TICK);
            if random.below(3) == 0 {
                step = 1 + random.below(step);
            }
            self.now = (self.now + step).min(end);
            self.rq.update_curr(self.now);
            if self.rq.tick() {
                self.rq.put_prev(false);
            }
        }
        for (fluid, share) in self.fluid.iter_mut().zip(shares) {
            *fluid += share * span as f64;
        }
    }
}

#[test]
fn always_runnable_tasks_get_their_weight() {
    for seed in 1..60 {
        let mut random = Random(seed * 77_777);
        let nr_groups = random.below(6);
        let nr_tasks = 2 + random.below(12);
        let mut model = Model::new(&mut random, nr_groups, nr_tasks, true);
        for n in 0..model.tasks.len() {
            model.set_runnable(n, true);
        }
        let span = 3_000_000_000;
        model.run(&mut random, span);
        for n in 0..model.tasks.len() {
            let error = (model.used(n) - model.fluid[n]).abs();
            assert!(
                error < span as f64 * 0.01,
                "seed {seed}: task {n} used {} instead of {}",
                model.used(n),
                model.fluid[n]
            );
        }
    }
}

#[test]
fn extreme_weights() {
    let mut random = Random(5);
    let root = TaskGroup::root(1);
    let rq = RunQueue::new(CpuId(0), &root, Tunables::default());
    let light = TaskGroup::new(&root, NICE_0_WEIGHT / 100);
    let heavy = TaskGroup::new(&root, NICE_0_WEIGHT * 100);
    let mut model = Model {
        rq,
        groups: alloc::vec![root, light.clone(), heavy.clone()],
        tasks: alloc::vec![Arc::new(SchedTask::new(light)), Arc::new(SchedTask::new(heavy))],
        runnable: alloc::vec![false; 2],
        fluid: alloc::vec![0.0; 2],
        now: 0,
    };
    model.set_runnable(0, true);
    model.set_runnable(1, true);
    model.run(&mut random, 30_000_000_000);
    // 1 : 10000 of 30 s is 3 ms.
    assert!((1e6..10e6).contains(&model.used(0)), "{}", model.used(0));
}

#[test]
fn sleepers_keep_within_bounds_and_nothing_is_lost() {
    for seed in 1..40 {
        let mut random = Random(seed * 31_337);
        let nr_groups = random.below(5);
        let nr_tasks = 3 + random.below(8);
        let mut model = Model::new(&mut random, nr_groups, nr_tasks, false);
        // Task 0 always runs: the CPU is never idle, and it may not be starved by sleepers.
        model.set_runnable(0, true);
        for _ in 0..400 {
            let n = 1 + random.below(nr_tasks - 1) as usize;
            let runs = !model.runnable[n];
            model.set_runnable(n, runs);
            let span = 1 + random.below(20_000_000);
            model.run(&mut random, span);
        }
        let total: f64 = (0..model.tasks.len()).map(|n| model.used(n)).sum();
        assert_eq!(total as u64, model.now, "seed {seed}: time is conserved");
        assert!(
            model.used(0) > model.fluid[0] * 0.6,
            "seed {seed}: {} of {}",
            model.used(0),
            model.fluid[0]
        );
        for n in 0..model.tasks.len() {
            model.set_runnable(n, false);
        }
        assert_eq!(model.rq.nr_running(), 0);
        assert!(model.rq.pick_next().is_none());
    }
}

#[test]
fn real_time_goes_first_and_rotates() {
    let root = TaskGroup::root(1);
    let mut rq = RunQueue::new(CpuId(0), &root, Tunables::default());
    let task = |policy, rt_priority| {
        let task = SchedTask::new(root.clone());
        task.install(&SchedParams {
            policy,
            rt_priority,
            ..SchedParams::default()
        });
        Arc::new(task)
    };
    let fair = task(Policy::Other, 0);
    let (a, b) = (task(Policy::Rr, 10), task(Policy::Rr, 10));
    let fifo = task(Policy::Fifo, 20);
    for t in [&fair, &a, &b] {
        rq.enqueue(t, Enqueue::Wakeup);
    }
    let picked = rq.pick_next().unwrap();
    assert!(Arc::ptr_eq(&picked, &a));
    assert_eq!(rq.next_tick(), Some(100_000_000));
    rq.update_curr(100_000_000);
    assert!(rq.tick());
    rq.put_prev(false);
    assert!(Arc::ptr_eq(&rq.pick_next().unwrap(), &b));
    rq.enqueue(&fifo, Enqueue::Wakeup);
    assert!(rq.preempts(&fifo));
    rq.put_prev(false);
    assert!(Arc::ptr_eq(&rq.pick_next().unwrap(), &fifo));
    assert_eq!(
        rq.next_tick(),
        Some(850_000_000),
        "FIFO has no slice, only what real-time tasks may use"
    );
    rq.put_prev(true);
    assert!(
        Arc::ptr_eq(&rq.pick_next().unwrap(), &b),
        "the preempted one stays first"
    );
    rq.put_prev(true);
    rq.dequeue(&a);
    assert!(Arc::ptr_eq(&rq.pick_next().unwrap(), &fair));
    // Its nice level becomes 19, then it turns real-time while it runs.
    let lazy = SchedParams {
        nice: 19,
        ..SchedParams::default()
    };
    rq.change(&fair, |sched| sched.install(&lazy));
    assert_eq!(fair.entity.weight(), nice_to_weight(19));
    rq.change(&fair, |sched| {
        sched.install(&SchedParams {
            policy: Policy::Fifo,
            rt_priority: 1,
            ..lazy
        });
    });
    assert!(rq.is_curr(&fair));
    rq.put_prev(true);
    assert_eq!(rq.nr_running(), 0);
}

#[test]
fn real_time_leaves_something_to_the_others() {
    const MS: u64 = 1_000_000;
    let root = TaskGroup::root(1);
    let mut rq = RunQueue::new(CpuId(0), &root, Tunables::default());
    let limit = Arc::new(RtBandwidth::default());
    rq.set_rt_bandwidth(limit.clone());
    let greedy = SchedTask::new(root.clone());
    greedy.install(&SchedParams {
        policy: Policy::Fifo,
        rt_priority: 50,
        ..SchedParams::default()
    });
    let (greedy, fair) = (Arc::new(greedy), Arc::new(SchedTask::new(root.clone())));
    let mut now = 1;
    // Runs for a while as the machine would; returns what the fair task got of it.
    let mut run = |rq: &mut RunQueue<SchedTask>, time: u64| {
        let end = now + time;
        let mut got = 0;
        while now < end {
            let curr = rq.pick_next().expect("somebody wants to run");
            let step = rq.next_tick().unwrap_or(u64::MAX).clamp(MS, end - now + MS);
            now += step;
            rq.update_curr(now);
            rq.tick();
            rq.put_prev(false);
            got += if Arc::ptr_eq(&curr, &fair) { step } else { 0 };
        }
        got
    };
    rq.enqueue(&greedy, Enqueue::Wakeup);
    // Nobody waits: nothing counts.
    assert_eq!(run(&mut rq, 5000 * MS), 0);
    rq.enqueue(&fair, Enqueue::New);
    let got = run(&mut rq, 10_000 * MS);
    assert!((450 * MS..=560 * MS).contains(&got), "{got} ns of 10 s");
    assert!(limit.set_runtime(1_000_001).is_err());
    limit.set_runtime(200_000).unwrap();
    let got = run(&mut rq, 10_000 * MS);
    assert!((7800 * MS..=8900 * MS).contains(&got), "{got} ns of 10 s");
    limit.set_runtime(-1).unwrap();
    run(&mut rq, 1000 * MS);
    assert_eq!(run(&mut rq, 5000 * MS), 0, "without a limit");
}
