//! Running the C tests somewhere and weighing what they say.

use crate::console::{Event, Log, Outcome, Run};
use crate::expectations::{Expectations, Target, Verdict};
use crate::machine::{self, Machine};
use crate::programs::Program;
use crate::{initramfs, project};
use anyhow::{Context, Result, bail};
use std::collections::VecDeque;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

/// Seconds from QEMU's start to init's first line.
const BOOT_TIMEOUT: u32 = 120;
/// Seconds a guest may take beyond a program's own timeout, and to power off.
const SLACK: u32 = 45;
/// A program that takes the kernel down is followed by a new boot, at most so often.
const MAX_BOOTS: u32 = 12;
/// Lines of console shown for a boot that stopped.
const TAIL: usize = 45;

/// What a suite came to.
#[derive(Default, Debug)]
pub struct Tally {
    /// What ran, e.g. `zcell, 4 CPUs`.
    pub what: String,
    pub passed: u32,
    pub failed: u32,
    pub excepted: u32,
    pub seconds: u64,
}

impl Tally {
    /// Of something that could not even begin.
    pub fn broken(what: &str) -> Self {
        Self {
            what: what.to_owned(),
            failed: 1,
            ..Self::default()
        }
    }
}

/// The tests to run and where.
pub struct Suite {
    pub target: Target,
    pub programs: Vec<Program>,
    pub filter: String,
    pub smp: u32,
    pub mem: String,
    pub append: String,
    /// Show the whole console.
    pub verbose: bool,
}

impl Suite {
    /// Run everything, printing one line per program and all failures.
    pub fn run(&self) -> Result<Tally> {
        let start = Instant::now();
        let what = match self.target {
            Target::Native => "native".to_owned(),
            t if self.smp == 1 => format!("{}, 1 CPU", t.name()),
            t => format!("{}, {} CPUs", t.name(), self.smp),
        };
        println!("== {what}: {} programs", self.programs.len());
        let mut judge = Judge {
            expectations: Expectations::load(self.target, self.smp)?,
            whole: !self.filter.contains(':'),
            twice: self.target == Target::Linux,
            again: Vec::new(),
            tally: Tally {
                what,
                ..Tally::default()
            },
        };
        if self.target == Target::Native {
            self.native(&mut judge)?;
        } else {
            project::write(&self.log(), b"")?;
            self.boots(&mut judge)?;
        }
        if !judge.again.is_empty() {
            self.again(&mut judge)?;
        }
        let mut tally = judge.tally;
        tally.seconds = start.elapsed().as_secs();
        Ok(tally)
    }

    /// Where the consoles of all boots go.
    fn log(&self) -> PathBuf {
        project::target(&format!("logs/{}-smp{}.log", self.target.name(), self.smp))
    }

    /// Boots Linux again for the programs that failed there, and judges these by that.
    fn again(&self, judge: &mut Judge) -> Result<()> {
        let names = std::mem::take(&mut judge.again);
        println!("   again, to tell a wrong test from a busy machine:");
        judge.twice = false;
        let suite = Suite {
            target: self.target,
            programs: self
                .programs
                .iter()
                .filter(|p| names.contains(&p.name))
                .cloned()
                .collect(),
            // A case that was asked for is all that has run of its program.
            filter: if self.filter.contains(':') {
                self.filter.clone()
            } else {
                names.join(",")
            },
            smp: self.smp,
            mem: self.mem.clone(),
            append: self.append.clone(),
            verbose: self.verbose,
        };
        suite.boots(judge)
    }

    /// Boot until every program has had its turn.
    fn boots(&self, judge: &mut Judge) -> Result<()> {
        let kernel = match self.target {
            Target::Linux => machine::linux()?,
            _ => project::image(),
        };
        let mut machine = Machine {
            kernel,
            initrd: initramfs::tests(&self.programs, "tests", self.target)?,
            append: String::new(),
            smp: self.smp,
            mem: self.mem.clone(),
            accel: machine::accel()?,
            icount: false,
        };
        let mut transcript = std::fs::OpenOptions::new().append(true).open(self.log())?;
        let mut left: VecDeque<Program> = self.programs.iter().cloned().collect();
        let mut after = String::new();
        for boot in 1.. {
            machine.append = format!(
                "console=ttyS0 panic=-1 quiet loglevel=3 {} ktest={}{after}",
                self.append,
                if self.filter.is_empty() {
                    "all"
                } else {
                    &self.filter
                },
            );
            let guest = machine.start()?;
            let end = self.watch(&guest.lines, &mut left, judge, &mut transcript)?;
            drop(guest);
            let Some(stop) = end else {
                return Ok(());
            };
            print!("{}", stop.report());
            match stop.program {
                Some(name) if boot < MAX_BOOTS && !left.is_empty() => {
                    println!("   (a new boot goes on behind {name})");
                    after = format!(" ktest_after={name}");
                }
                _ => break,
            }
        }
        for program in left {
            judge.lost(&program.name);
        }
        Ok(())
    }

    /// Run the programs under init in namespaces of this machine.
    fn native(&self, judge: &mut Judge) -> Result<()> {
        initramfs::tests(&self.programs, "tests", self.target)?;
        let work = project::target("user-tests/work");
        std::fs::create_dir_all(&work)?;
        let list: String = self
            .programs
            .iter()
            .map(|p| format!("{} {}\n", p.name, p.timeout))
            .collect();
        project::write(&Program::bin_dir().join("list"), list.as_bytes())?;
        let mut unshare = Command::new("unshare");
        unshare.args(["--fork", "--kill-child", "--pid", "--mount", "--uts", "--ipc"]);
        if !am_root() {
            unshare.args(["--user", "--map-root-user"]);
        }
        let mut child = unshare
            .arg(crate::programs::init()?.binary())
            .env("KTEST_NATIVE", "1")
            .env("KTEST_DIR", Program::bin_dir())
            .env("KTEST_WORK", work)
            .env("ktest", &self.filter)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .context("start unshare")?;
        let stdout = child.stdout.take().context("unshare has no output")?;
        let (sender, lines) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            for line in std::io::BufRead::lines(std::io::BufReader::new(stdout)) {
                let Ok(line) = line else { return };
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        let mut left: VecDeque<Program> = self.programs.iter().cloned().collect();
        let log_path = project::target("logs/native.log");
        project::write(&log_path, b"")?;
        let mut transcript = std::fs::OpenOptions::new().append(true).open(&log_path)?;
        let stop = self.watch(&lines, &mut left, judge, &mut transcript)?;
        let _ = child.kill();
        child.wait()?;
        if let Some(stop) = stop {
            print!("{}", stop.report());
        }
        for program in left {
            judge.lost(&program.name);
        }
        Ok(())
    }

    /// Read one console to its end. `None` means that init finished; otherwise
    /// how far it came. Programs that had their turn leave `left`.
    fn watch(
        &self,
        lines: &Receiver<String>,
        left: &mut VecDeque<Program>,
        judge: &mut Judge,
        transcript: &mut impl Write,
    ) -> Result<Option<Stop>> {
        let mut log = Log::default();
        let mut tail = VecDeque::new();
        let mut began = Instant::now();
        let mut allowed = BOOT_TIMEOUT;
        loop {
            let wait = Duration::from_secs(u64::from(allowed)).saturating_sub(began.elapsed());
            let line = match lines.recv_timeout(wait) {
                Ok(line) => line,
                // A guest that does not power off after its work is a failure too.
                Err(RecvTimeoutError::Disconnected) if log.done => {
                    for program in left.drain(..) {
                        judge.lost(&format!("{} (never started)", program.name));
                    }
                    return Ok(None);
                }
                Err(why) => {
                    let program = log.current().map(|run| run.name.clone());
                    if let Some(run) = log.current() {
                        left.retain(|p| p.name != run.name);
                        judge.ended(run, began.elapsed());
                    } else {
                        judge.lost(if log.done { "power-off" } else { "boot" });
                    }
                    return Ok(Some(Stop {
                        program,
                        hang: why == RecvTimeoutError::Timeout,
                        tail: tail.into(),
                    }));
                }
            };
            writeln!(transcript, "{line}")?;
            if self.verbose {
                println!("{line}");
            }
            match log.line(&line) {
                Event::Started(system) => {
                    println!("   {system}, init after {:.1} s", began.elapsed().as_secs_f32());
                    (began, allowed) = (Instant::now(), SLACK);
                }
                Event::Begin => {
                    let name = log.current().map(|run| run.name.as_str());
                    let program = left.iter().find(|p| Some(p.name.as_str()) == name);
                    began = Instant::now();
                    allowed = program.map_or(SLACK, |p| p.timeout + SLACK);
                }
                Event::End => {
                    if let Some(run) = log.runs.last() {
                        left.retain(|p| p.name != run.name);
                        judge.ended(run, began.elapsed());
                    }
                    (began, allowed) = (Instant::now(), SLACK);
                }
                Event::Done => (began, allowed) = (Instant::now(), SLACK),
                Event::Nothing => {}
            }
            tail.push_back(line);
            if tail.len() > TAIL {
                tail.pop_front();
            }
        }
    }
}

/// Why a console ended before init was done.
struct Stop {
    /// What was running.
    program: Option<String>,
    hang: bool,
    tail: Vec<String>,
}

impl Stop {
    fn report(&self) -> String {
        let mut text = format!(
            "   {} {}; the end of its console:\n",
            match (&self.program, self.hang) {
                (Some(_), true) => "the system hung in",
                (Some(_), false) => "the system went down in",
                (None, true) => "the system hung outside",
                (None, false) => "the system went down outside",
            },
            self.program.as_deref().unwrap_or("any test")
        );
        for line in &self.tail {
            text += &format!("   | {line}\n");
        }
        text
    }
}

/// Weighs outcomes, prints and counts them.
struct Judge {
    expectations: Expectations,
    /// Programs run with all their cases.
    whole: bool,
    /// A program that fails has a second run, which decides. Only on Linux, where a failure says
    /// something of the test or of the machine, never of the kernel.
    twice: bool,
    /// Those that are to have it.
    again: Vec<String>,
    tally: Tally,
}

impl Judge {
    fn ended(&mut self, run: &Run, time: Duration) {
        let cases = run.verdicts();
        let mut failures = Vec::new();
        let (mut passed, mut failed, mut excepted) = (0, 0, 0);
        for case in &cases {
            let (verdict, why) = self.expectations.judge(case);
            match verdict {
                Verdict::Passed => passed += 1,
                Verdict::Excepted => excepted += 1,
                Verdict::Failed => {
                    failures.push(format!("FAIL {}", case.name));
                    failures.extend(why.map(|why| format!("       {why}")));
                    if case.outcome != Outcome::Pass {
                        failures.extend(case.notes.iter().map(|note| format!("       {note}")));
                    }
                    failed += 1;
                }
            }
        }
        if self.whole && run.ended() {
            let names: Vec<&str> = cases.iter().map(|c| c.name.as_str()).collect();
            for stale in self.expectations.stale(&run.name, &names) {
                failures.push(format!("FAIL {stale}"));
                failures.push("       expectations.toml names it, but there is no such case".into());
                failed += 1;
            }
        }
        if failed > 0 && self.twice {
            self.again.push(run.name.clone());
        } else {
            self.tally.passed += passed;
            self.tally.failed += failed;
            self.tally.excepted += excepted;
        }
        println!(
            "   {} {:<28} {:>3} cases {:>6.1} s{}",
            if failures.is_empty() { "ok  " } else { "FAIL" },
            run.name,
            cases.len(),
            time.as_secs_f32(),
            match excepted {
                0 => String::new(),
                n => format!("  ({n} excepted)"),
            }
        );
        for line in failures {
            println!("        {line}");
        }
    }

    fn lost(&mut self, name: &str) {
        println!("   FAIL {name}: did not run to its end");
        self.tally.failed += 1;
    }
}

fn am_root() -> bool {
    project::output(Command::new("id").arg("-u")).is_ok_and(|uid| uid.trim() == "0")
}

/// Print the table and the last line; an error if anything failed.
pub fn report(tallies: &[Tally]) -> Result<()> {
    println!(
        "\n{:<24} {:>7} {:>7} {:>9} {:>6}",
        "", "passed", "failed", "excepted", "time"
    );
    for t in tallies {
        println!(
            "{:<24} {:>7} {:>7} {:>9} {:>4} s",
            t.what, t.passed, t.failed, t.excepted, t.seconds
        );
    }
    let passed: u32 = tallies.iter().map(|t| t.passed).sum();
    let failed: u32 = tallies.iter().map(|t| t.failed).sum();
    println!("\n{passed} passed, {failed} failed");
    if failed > 0 || passed == 0 {
        bail!("tests failed");
    }
    Ok(())
}
