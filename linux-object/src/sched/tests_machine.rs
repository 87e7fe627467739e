//! Several CPUs, their run queues and a simulated clock, against what a fluid would do.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, Ordering::Relaxed};

use super::migration::{Aim, migrate, plan};
use super::run_queue::{RunQueue, RunTask};
use super::tests::Random;
use super::weight::NICE_0_WEIGHT;
use super::*;

const MS: u64 = 1_000_000;
const SECOND: u64 = 1_000_000_000;

struct Thread {
    sched: SchedTask,
    throttle: AtomicBool,
    must_run: AtomicBool,
}

impl RunTask for Thread {
    fn sched(&self) -> &SchedTask {
        &self.sched
    }
    fn must_throttle(&self) {
        self.throttle.store(true, Relaxed);
    }
    fn must_run(&self) -> bool {
        self.must_run.load(Relaxed)
    }
}

struct Machine {
    now: u64,
    root: Arc<TaskGroup>,
    account: Arc<CpuAccount>,
    rqs: Vec<RunQueue<Thread>>,
    ticks: Vec<u64>,
    next_balance: Vec<u64>,
    threads: Vec<Arc<Thread>>,
    /// Whether it wants to run.
    awake: Vec<bool>,
}

struct Group {
    task_group: Arc<TaskGroup>,
    account: Arc<CpuAccount>,
    accounts: Arc<Accounts>,
}

impl Machine {
    fn new(cpus: usize) -> Machine {
        let root = TaskGroup::root(cpus);
        Machine {
            now: 1,
            rqs: (0..cpus)
                .map(|cpu| RunQueue::new(CpuId(cpu as u32), &root, Tunables::default()))
                .collect(),
            account: CpuAccount::new(None, cpus),
            root,
            ticks: alloc::vec![0; cpus],
            next_balance: alloc::vec![0; cpus],
            threads: Vec::new(),
            awake: Vec::new(),
        }
    }
    fn top(&self) -> Group {
        Group {
            task_group: self.root.clone(),
            account: self.account.clone(),
            accounts: Accounts::new([self.account.clone()]),
        }
    }
    fn group(&self, parent: &Group, weight: u64) -> Group {
        let account = CpuAccount::new(Some(parent.account.clone()), self.rqs.len());
        Group {
            task_group: TaskGroup::new(&parent.task_group, weight * NICE_0_WEIGHT / 100),
            accounts: Accounts::new([account.clone()]),
            account,
        }
    }
    fn limit(&mut self, group: &Group, quota: u64, period: u64) {
        let limit = Limit {
            quota: Some(quota),
            period,
            burst: 0,
        };
        group.task_group.bandwidth().set_limit(limit, self.now);
        for cpu in 0..self.rqs.len() {
            self.rqs[cpu].update_curr(self.now);
            self.rqs[cpu].limit_changed(&group.task_group, self.now);
            self.resched(cpu);
        }
    }
    fn spawn(&mut self, group: &Group, cpu: usize) -> usize {
        let sched = SchedTask::new_in(group.task_group.clone(), group.accounts.clone());
        sched.set_boundary(true);
        sched.set_cpu(CpuId(cpu as u32));
        self.threads.push(Arc::new(Thread {
            sched,
            throttle: AtomicBool::new(false),
            must_run: AtomicBool::new(false),
        }));
        self.awake.push(false);
        let n = self.threads.len() - 1;
        self.wake(n);
        n
    }
    fn wake(&mut self, n: usize) {
        if core::mem::replace(&mut self.awake[n], true) {
            return;
        }
        let thread = self.threads[n].clone();
        let cpu = thread.sched.cpu().0 as usize;
        let mask = StateMask::NEW | StateMask::NORMAL;
        assert_eq!(thread.sched.try_wake(mask), sched_task::Wake::Enqueue);
        self.rqs[cpu].update_curr(self.now);
        self.rqs[cpu].enqueue(&thread, Enqueue::Wakeup);
        if self.rqs[cpu].preempts(&thread) {
            self.resched(cpu);
        } else {
            self.set_tick(cpu);
        }
    }
    fn sleep(&mut self, n: usize) {
        let thread = self.threads[n].clone();
        let cpu = thread.sched.cpu().0 as usize;
        // Who sleeps has entered the kernel, so it runs; a throttled one cannot.
        if !self.rqs[cpu].is_curr(&thread) {
            return;
        }
        self.awake[n] = false;
        self.rqs[cpu].update_curr(self.now);
        thread.sched.set_state(TaskState::Interruptible);
        assert!(thread.sched.try_block());
        self.rqs[cpu].put_prev(true);
        thread.sched.leave_cpu();
        self.resched(cpu);
    }
    fn resched(&mut self, cpu: usize) {
        let rq = &mut self.rqs[cpu];
        if let Some(curr) = rq.curr().cloned() {
            curr.throttle.store(false, Relaxed);
            curr.sched.leave_cpu();
            rq.put_prev(false);
        }
        let mut next = rq.pick_next();
        if next.is_none() {
            let from = (0..self.rqs.len()).max_by_key(|from| self.rqs[*from].nr_running());
            if self.migrate(from.unwrap_or(cpu), cpu, Aim::Fill) {
                next = self.rqs[cpu].pick_next();
            }
        }
        if let Some(next) = next {
            next.sched.enter_cpu();
        }
        let kicks = self.rqs[cpu].take_kicks();
        self.set_tick(cpu);
        for other in kicks.iter().filter(|other| other.0 as usize != cpu) {
            self.ticks[other.0 as usize] = self.now;
        }
    }
    fn set_tick(&mut self, cpu: usize) {
        let left = self.rqs[cpu].next_tick();
        self.ticks[cpu] = left.map_or(u64::MAX, |left| self.now + left.max(MIN_TICK));
    }
    fn migrate(&mut self, from: usize, to: usize, aim: Aim) -> bool {
        if from == to {
            return false;
        }
        let [source, target] = self.rqs.get_disjoint_mut([from, to]).unwrap();
        source.update_curr(self.now);
        target.update_curr(self.now);
        let may = |thread: &Arc<Thread>, to| thread.sched.affinity().contains(to);
        migrate(source, target, aim, may).is_some()
    }
    fn tick(&mut self, cpu: usize) {
        let now = self.now;
        let rq = &mut self.rqs[cpu];
        rq.update_curr(now);
        let again = rq.look_again(now);
        let over = rq.tick();
        if over || again || rq.curr().is_some_and(|curr| curr.throttle.load(Relaxed)) {
            self.resched(cpu);
        }
        if self.rqs[cpu].nr_running() > 1 && now >= self.next_balance[cpu] {
            let turn = now / (8 * MS);
            self.next_balance[cpu] = (turn + 1) * 8 * MS + cpu as u64 * MIN_TICK;
            self.rqs.iter_mut().for_each(|rq| rq.weigh(now));
            let figures = |cpu: CpuId| {
                let rq = &self.rqs[cpu.0 as usize];
                (rq.steady_load(), rq.nr_running() as u32)
            };
            let moves = plan(CpuId(cpu as u32), CpuMask::first_n(self.rqs.len()), figures);
            for (from, to, aim) in moves {
                if self.migrate(from.0 as usize, to.0 as usize, aim) {
                    let to = to.0 as usize;
                    if self.rqs[to].curr().is_none() {
                        self.resched(to);
                    } else {
                        self.set_tick(to);
                    }
                    break;
                }
            }
        }
        self.set_tick(cpu);
    }
    fn run(&mut self, random: &mut Random, span: u64) {
        let end = self.now + span;
        loop {
            let (cpu, at) = (0..self.rqs.len())
                .map(|cpu| (cpu, self.ticks[cpu]))
                .min_by_key(|(_, at)| *at)
                .unwrap();
            if at >= end {
                break;
            }
            // Interrupts come late by up to 20 microseconds.
            self.now = self.now.max(at + random.below(20_000)).min(end);
            self.tick(cpu);
        }
        self.now = end;
        for rq in &mut self.rqs {
            rq.update_curr(end);
            rq.flush_accounts();
        }
    }
    fn used(&self, group: &Group) -> f64 {
        group.account.times().total() as f64
    }
    fn check(&self) {
        let threads: u64 = self.threads.iter().map(|t| t.sched.charged().total()).sum();
        assert_eq!(self.account.times().total(), threads, "time is conserved");
    }
}

fn assert_near(what: f64, ideal: f64, tolerance: f64, context: core::fmt::Arguments<'_>) {
    assert!(
        (what - ideal).abs() <= tolerance,
        "{context}: {} instead of {} ms",
        what / 1e6,
        ideal / 1e6
    );
}

#[test]
fn a_limit_holds_exactly() {
    for cpus in [1, 2, 4, 16] {
        for threads in [1, 2, 8, 40] {
            for percent in [1, 10, 20, 50, 80, 150, 390] {
                let mut random = Random(percent * 7919 + threads);
                let mut machine = Machine::new(cpus);
                let top = machine.top();
                let group = machine.group(&top, 100);
                for n in 0..threads {
                    machine.spawn(&group, n as usize % cpus);
                }
                machine.limit(&group, percent * MS, 100 * MS);
                machine.run(&mut random, 3 * SECOND);
                machine.check();
                let most = (3 * SECOND * threads.min(cpus as u64)) as f64;
                let ideal = (percent as f64 * 30.0 * MS as f64).min(most);
                assert_near(
                    machine.used(&group),
                    ideal,
                    ideal * 0.01 + 2e4,
                    format_args!("{percent} % with {threads} threads on {cpus} CPUs"),
                );
                let stat = group.task_group.bandwidth().stat(machine.now);
                assert!(stat.nr_throttled <= stat.nr_periods && stat.nr_periods <= 31);
                if ideal < most * 0.99 {
                    assert!(stat.nr_throttled >= 29, "{stat:?}");
                    assert!(stat.throttled_time > 0);
                } else {
                    assert_eq!(stat.nr_throttled, 0, "{percent} {threads} {cpus}");
                }
            }
        }
    }
}

#[test]
fn a_limit_holds_beside_others_and_nested() {
    for seed in 1..40 {
        let mut random = Random(seed * 104_729);
        let cpus = 1 + random.below(4) as usize;
        let mut machine = Machine::new(cpus);
        let top = machine.top();
        let outer = machine.group(&top, 1000);
        let inner = machine.group(&outer, 100);
        for n in 0..cpus {
            machine.spawn(&top, n);
            for _ in 0..1 + random.below(3) {
                machine.spawn(&inner, n);
            }
            machine.spawn(&outer, n);
        }
        // Of each CPU outer could have 10/11, and inner at least a quarter of that.
        let (a, b) = (
            5 + random.below(60 * cpus as u64),
            1 + random.below(15 * cpus as u64),
        );
        let b = b.min(a / 3).max(1);
        machine.limit(&outer, a * MS, 100 * MS);
        machine.limit(&inner, b * MS, 100 * MS);
        machine.run(&mut random, 3 * SECOND);
        machine.check();
        let (a, b) = ((a * 30 * MS) as f64, (b * 30 * MS) as f64);
        let context = format_args!("seed {seed} on {cpus}");
        assert_near(machine.used(&outer), a, a * 0.01 + 2e4, context);
        assert!(machine.used(&inner) <= b * 1.01 + 2e4, "{context}");
        let total = machine.account.times().total();
        assert!(
            total > machine.now * cpus as u64 / 100 * 98,
            "seed {seed}: {total} of {} used",
            machine.now * cpus as u64
        );
    }
}

#[test]
fn weights_hold_on_several_cpus() {
    for cpus in [1, 2, 4, 8, 16] {
        for (a, b) in [(100, 300), (1, 10_000), (100, 100)] {
            let mut random = Random(77 + a);
            let mut machine = Machine::new(cpus);
            let top = machine.top();
            let (ga, gb) = (machine.group(&top, a), machine.group(&top, b));
            // All come up on one CPU and have to be spread.
            for _ in 0..cpus {
                machine.spawn(&ga, 0);
            }
            for _ in 0..cpus {
                machine.spawn(&gb, 0);
            }
            machine.run(&mut random, SECOND);
            let (from_a, from_b) = (machine.used(&ga), machine.used(&gb));
            machine.run(&mut random, 3 * SECOND);
            machine.check();
            let all = (3 * SECOND * cpus as u64) as f64;
            let share = all * a as f64 / (a + b) as f64;
            let context = format_args!("{a}:{b} on {cpus}");
            assert_near(machine.used(&ga) - from_a, share, all * 0.01, context);
            assert_near(machine.used(&gb) - from_b, all - share, all * 0.01, context);
        }
    }
}

/// However the threads come up, the CPUs get loads that are equal enough.
#[test]
fn nested_weights_hold_wherever_threads_begin() {
    for seed in 1..40 {
        let mut random = Random(seed * 32_452_843);
        let mut machine = Machine::new(4);
        let top = machine.top();
        let above = [machine.group(&top, 100), machine.group(&top, 300)];
        let mut groups = Vec::new();
        for group in &above {
            groups.push((machine.group(group, 100), 1.0));
            groups.push((machine.group(group, 300), 3.0));
        }
        for (group, _) in &groups {
            for _ in 0..4 {
                machine.spawn(group, random.below(4) as usize);
            }
        }
        machine.run(&mut random, SECOND);
        let before: Vec<f64> = groups.iter().map(|(group, _)| machine.used(group)).collect();
        machine.run(&mut random, 3 * SECOND);
        machine.check();
        let all = (3 * SECOND * 4) as f64;
        for (n, (group, part)) in groups.iter().enumerate() {
            let share = all * part / 4.0 * if n < 2 { 0.25 } else { 0.75 };
            let context = format_args!("seed {seed}, group {n}");
            assert_near(machine.used(group) - before[n], share, all * 0.01, context);
        }
    }
}

/// Who works half a millisecond in twenty does not move the others about.
#[test]
fn weights_hold_beside_those_who_sleep_most_of_the_time() {
    for seed in 1..24 {
        let mut random = Random(seed * 49_979_687);
        let mut machine = Machine::new(4);
        let top = machine.top();
        let (ga, gb, gc) = (
            machine.group(&top, 100),
            machine.group(&top, 300),
            machine.group(&top, 100),
        );
        for cpu in 0..4 {
            machine.spawn(&ga, cpu);
            machine.spawn(&gb, cpu);
        }
        let sleepers: Vec<usize> = (0..4)
            .map(|_| machine.spawn(&gc, random.below(4) as usize))
            .collect();
        let mut wakes: Vec<u64> = (0..4).map(|_| random.below(20 * MS)).collect();
        let mut work: Vec<u64> = alloc::vec![0; 4];
        let mut before = (0.0, 0.0);
        let start = machine.now;
        while machine.now < start + 4 * SECOND {
            machine.run(&mut random, MS / 4);
            if before.0 == 0.0 && machine.now > start + SECOND {
                before = (machine.used(&ga), machine.used(&gb));
            }
            for (n, &sleeper) in sleepers.iter().enumerate() {
                let used = machine.threads[sleeper].sched.charged().total();
                if machine.awake[sleeper] && used >= work[n] + MS / 2 {
                    machine.sleep(sleeper);
                    if !machine.awake[sleeper] {
                        work[n] = used;
                        wakes[n] = machine.now + 20 * MS;
                    }
                } else if !machine.awake[sleeper] && machine.now >= wakes[n] {
                    machine.wake(sleeper);
                }
            }
        }
        machine.check();
        let (a, b) = (machine.used(&ga) - before.0, machine.used(&gb) - before.1);
        assert_near(a / (a + b), 0.25, 0.01, format_args!("seed {seed}"));
    }
}

#[test]
fn nested_weights_with_sleepers_hold() {
    for seed in 1..16 {
        let mut random = Random(seed * 15_485_863);
        let cpus = 1 << random.below(3);
        let mut machine = Machine::new(cpus);
        let top = machine.top();
        let (ga, gb) = (machine.group(&top, 100), machine.group(&top, 300));
        let (a1, a2) = (machine.group(&ga, 200), machine.group(&ga, 100));
        let mut sleepers = Vec::new();
        for cpu in 0..cpus {
            for group in [&a1, &a2, &gb] {
                machine.spawn(group, cpu);
            }
            sleepers.push(machine.spawn(&gb, cpu));
            sleepers.push(machine.spawn(&a2, cpu));
        }
        for _ in 0..1500 {
            let n = sleepers[random.below(sleepers.len() as u64) as usize];
            if machine.awake[n] {
                machine.sleep(n);
            } else {
                machine.wake(n);
            }
            machine.run(&mut random, 2 * MS);
        }
        machine.check();
        let all = (3 * SECOND * cpus as u64) as f64;
        let context = format_args!("seed {seed} on {cpus}");
        assert_near(machine.used(&ga), all / 4.0, all * 0.01, context);
        assert_near(machine.used(&gb), all * 0.75, all * 0.01, context);
        assert_near(machine.used(&a1), all / 6.0, all * 0.01, context);
    }
}

#[test]
fn three_threads_on_two_cpus_take_turns() {
    let mut random = Random(3);
    let mut machine = Machine::new(2);
    let top = machine.top();
    for _ in 0..3 {
        machine.spawn(&top, 0);
    }
    machine.run(&mut random, 3 * SECOND);
    for thread in &machine.threads {
        let used = thread.sched.charged().total() as f64;
        assert_near(used, 2e9, 1e8, format_args!("of three"));
    }
}

/// What each group gets of one CPU when all its threads always want to run: progressive filling.
fn fluid(groups: &[(Option<usize>, f64, f64, usize)], node: Option<usize>, capacity: f64, got: &mut [f64]) {
    fn cap(groups: &[(Option<usize>, f64, f64, usize)], n: usize) -> f64 {
        let busy = groups[n].3 > 0;
        let below: f64 = (0..groups.len())
            .filter(|m| groups[*m].0 == Some(n))
            .map(|m| cap(groups, m))
            .sum();
        groups[n].2.min(if busy { f64::MAX } else { below })
    }
    let own = node.map_or(0, |n| groups[n].3) as f64 * 100.0;
    let mut open: Vec<usize> = (0..groups.len()).filter(|n| groups[*n].0 == node).collect();
    let mut left = capacity;
    loop {
        let weights: f64 = own + open.iter().map(|n| groups[*n].1).sum::<f64>();
        let capped = open
            .iter()
            .position(|n| cap(groups, *n) < left * groups[*n].1 / weights);
        match capped {
            Some(at) => {
                let n = open.swap_remove(at);
                got[n] = cap(groups, n);
                left -= got[n];
            }
            None => {
                for n in open {
                    got[n] = left * groups[n].1 / weights;
                }
                break;
            }
        }
    }
    for n in 0..groups.len() {
        if groups[n].0 == node {
            fluid(groups, Some(n), got[n], got);
        }
    }
}

#[test]
fn random_trees_with_limits_follow_the_fluid() {
    for seed in 1..60 {
        let mut random = Random(seed * 982_451_653);
        let mut machine = Machine::new(1);
        let top = machine.top();
        machine.spawn(&top, 0);
        let mut groups: Vec<Group> = Vec::new();
        let mut model = Vec::new();
        for _ in 0..1 + random.below(7) {
            let parent = random.below(groups.len() as u64 + 1) as usize;
            let weight = 20 + random.below(400);
            let group = machine.group(groups.get(parent).unwrap_or(&top), weight);
            let threads = random.below(3) as usize;
            for _ in 0..threads {
                machine.spawn(&group, 0);
            }
            let quota = match random.below(2) {
                0 => f64::MAX,
                _ => {
                    let percent = 2 + random.below(60);
                    machine.limit(&group, percent * MS, 100 * MS);
                    (percent * 30 * MS) as f64
                }
            };
            let parent = (parent < groups.len()).then_some(parent);
            model.push((parent, weight as f64, quota, threads));
            groups.push(group);
        }
        machine.run(&mut random, 3 * SECOND);
        machine.check();
        // The root's own thread weighs as much as a group of weight 100.
        model.push((None, 100.0, f64::MAX, 1));
        let mut got = alloc::vec![0.0; model.len()];
        fluid(&model, None, 3e9, &mut got);
        for (n, group) in groups.iter().enumerate() {
            let context = format_args!("seed {seed}: group {n}");
            assert_near(machine.used(group), got[n], 3e7, context);
        }
    }
}

#[test]
fn nothing_is_lost_whatever_happens() {
    for seed in 1..60 {
        let mut random = Random(seed * 49_979_687);
        let cpus = 1 + random.below(16) as usize;
        let mut machine = Machine::new(cpus);
        let mut groups = alloc::vec![machine.top()];
        let mut quotas = alloc::vec![f64::MAX];
        for _ in 0..2 + random.below(5) {
            let parent = random.below(groups.len() as u64) as usize;
            let group = machine.group(&groups[parent], 1 + random.below(500));
            groups.push(group);
            quotas.push(f64::MAX);
        }
        for n in 1..groups.len() {
            if random.below(2) == 0 {
                let quota = 1 + random.below(200);
                machine.limit(&groups[n], quota * MS, 50 * MS);
                quotas[n] = (quota * MS) as f64;
            }
        }
        for n in 0..2 + random.below(30) {
            let group = 1 + random.below(groups.len() as u64 - 1) as usize;
            machine.spawn(&groups[group], n as usize % cpus);
        }
        for _ in 0..600 {
            let n = random.below(machine.threads.len() as u64) as usize;
            let thread = machine.threads[n].clone();
            let cpu = thread.sched.cpu().0 as usize;
            match random.below(6) {
                0 => machine.sleep(n),
                1 | 2 => machine.wake(n),
                // A thread in the kernel is not throttled before it leaves it.
                3 => thread.sched.set_boundary(random.below(2) == 0),
                4 => {
                    // To another group, throttled or not.
                    let to = &groups[1 + random.below(groups.len() as u64 - 1) as usize];
                    let rq = &mut machine.rqs[cpu];
                    rq.update_curr(machine.now);
                    thread.sched.set_accounts(to.accounts.clone());
                    if rq.is_curr(&thread) {
                        rq.open_accounts();
                    }
                    rq.release(&thread);
                    let group = to.task_group.clone();
                    rq.change(&thread, |sched| drop(sched.set_group(group)));
                    machine.resched(cpu);
                }
                _ => {
                    // It is killed and runs whatever the limit.
                    thread.must_run.store(true, Relaxed);
                    machine.rqs[cpu].release(&thread);
                    assert!(!thread.sched.is_throttled());
                    thread.must_run.store(false, Relaxed);
                    machine.resched(cpu);
                }
            }
            let span = 1 + random.below(5 * MS);
            machine.run(&mut random, span);
        }
        machine.check();
        for n in 0..machine.threads.len() {
            machine.threads[n].sched.set_boundary(true);
        }
        machine.run(&mut random, SECOND);
        machine.check();
        // Without limits all go on.
        for group in &groups {
            group
                .task_group
                .bandwidth()
                .set_limit(Limit::default(), machine.now);
            for cpu in 0..cpus {
                machine.rqs[cpu].limit_changed(&group.task_group, machine.now);
            }
        }
        for (n, thread) in machine.threads.iter().enumerate() {
            assert!(!thread.sched.is_throttled(), "seed {seed}: {n}");
            assert_eq!(thread.sched.on_rq(), machine.awake[n], "seed {seed}: {n}");
        }
        let queued: usize = machine.rqs.iter().map(RunQueue::nr_running).sum();
        assert_eq!(queued, machine.awake.iter().filter(|awake| **awake).count());
        assert!(
            machine
                .rqs
                .iter()
                .all(|rq| !rq.has_limits() && !rq.has_throttled())
        );
    }
}

#[test]
fn a_thread_in_the_kernel_is_throttled_when_it_leaves() {
    let mut random = Random(9);
    let mut machine = Machine::new(1);
    let top = machine.top();
    let group = machine.group(&top, 100);
    let n = machine.spawn(&group, 0);
    let thread = machine.threads[n].clone();
    thread.sched.set_boundary(false);
    machine.limit(&group, 10 * MS, 100 * MS);
    machine.run(&mut random, 30 * MS);
    assert!(machine.rqs[0].is_curr(&thread), "it finishes its call");
    assert_eq!(thread.sched.charged().total(), 30 * MS);
    thread.sched.set_boundary(true);
    machine.resched(0);
    assert!(thread.sched.is_throttled());
    // What it used too much is paid back: 20 ms of the next two periods.
    machine.run(&mut random, 270 * MS);
    assert_near(
        machine.used(&group),
        30e6,
        1e5,
        format_args!("after three periods"),
    );
    machine.run(&mut random, 100 * MS);
    assert_near(
        machine.used(&group),
        40e6,
        1e5,
        format_args!("after four periods"),
    );
}

#[test]
fn groups_come_and_go_without_growing_anything() {
    let mut machine = Machine::new(2);
    let top = machine.top();
    let mut random = Random(4);
    for n in 0..50 {
        let group = machine.group(&top, 100);
        let slot = group.task_group.slot();
        assert!(slot <= 4, "a number is used again");
        machine.limit(&group, 5 * MS, 100 * MS);
        let thread = machine.spawn(&group, n % 2);
        machine.run(&mut random, 2 * MS);
        if n % 3 == 0 {
            // The last task leaves afterwards.
            group.task_group.set_offline();
            machine.sleep(thread);
            assert_eq!(Arc::strong_count(&group.task_group), 2);
        } else {
            machine.sleep(thread);
            group.task_group.set_offline();
        }
        machine.threads.clear();
        machine.awake.clear();
    }
    assert!(machine.rqs.iter().filter(|rq| rq.has_limits()).count() <= 2);
    assert!(machine.account.times().total() > 50 * MS);
}
