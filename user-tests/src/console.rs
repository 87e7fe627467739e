//! What a test boot says on its console, as data.
//!
//! `c/init.c` brackets every program with `zt-run` and `zt-result`; between them
//! are the program's TAP lines, which name its cases. A program passes by its
//! exit status; the TAP lines say which cases it had, and must agree with it.

/// How one case or program came out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    Pass,
    Fail,
    Skip,
}

/// One named outcome: `area/file:case`, or `area/file` for a program that failed
/// as a whole.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Case {
    pub name: String,
    pub outcome: Outcome,
    /// What the case printed about itself.
    pub notes: Vec<String>,
}

/// One program's run.
#[derive(Default, Debug)]
pub struct Run {
    pub name: String,
    cases: Vec<Case>,
    plan: Option<usize>,
    /// Exit code and signal, once init has reported them.
    end: Option<(i32, i32)>,
    notes: Vec<String>,
}

impl Run {
    /// Did init report how it ended?
    pub fn ended(&self) -> bool {
        self.end.is_some()
    }

    /// The verdicts of its cases, and one for the program itself if they do not
    /// explain its exit status.
    pub fn verdicts(&self) -> Vec<Case> {
        let mut cases = self.cases.clone();
        let failed = cases.iter().any(|c| c.outcome == Outcome::Fail);
        let complaint = match self.end {
            None => Some("did not end".to_owned()),
            Some((_, signal)) if signal != 0 => Some(format!("killed by signal {signal}")),
            Some((0, _)) if failed => Some("exit status 0 in spite of a failed case".to_owned()),
            Some((code, _)) if code != 0 && !failed => Some(format!("exit status {code}")),
            Some(_) if self.plan != Some(cases.len()) => {
                Some(format!("planned {:?} cases, ran {}", self.plan, cases.len()))
            }
            Some(_) => None,
        };
        if let Some(complaint) = complaint {
            // Of a system that stopped, the end of the console says more.
            let mut notes = Vec::new();
            if self.ended() {
                notes.clone_from(&self.notes);
            }
            notes.push(complaint);
            cases.push(Case {
                name: self.name.clone(),
                outcome: Outcome::Fail,
                notes,
            });
        }
        cases
    }
}

/// What a line meant to the reader.
#[derive(PartialEq, Eq, Debug)]
pub enum Event {
    /// Init runs, on this system.
    Started(String),
    /// A program begins.
    Begin,
    /// A program ended.
    End,
    /// Init is done.
    Done,
    Nothing,
}

/// The reader of a console.
#[derive(Default, Debug)]
pub struct Log {
    pub started: bool,
    pub done: bool,
    pub runs: Vec<Run>,
}

impl Log {
    /// The program that is running now.
    pub fn current(&self) -> Option<&Run> {
        self.runs.last().filter(|run| !run.ended())
    }

    /// Take in one line, without its end.
    pub fn line(&mut self, line: &str) -> Event {
        let line = line.trim_end();
        if let Some((_, rest)) = line.split_once("zt-") {
            let mut words = rest.split_whitespace();
            match words.next() {
                Some("start") => {
                    self.started = true;
                    return Event::Started(words.collect::<Vec<_>>().join(" "));
                }
                Some("run") => {
                    self.runs.push(Run {
                        name: words.next().unwrap_or_default().to_owned(),
                        ..Run::default()
                    });
                    return Event::Begin;
                }
                Some("result") => return self.result(words),
                Some("done") => {
                    self.done = true;
                    return Event::Done;
                }
                _ => {}
            }
        }
        if let Some(run) = self.runs.last_mut().filter(|run| !run.ended()) {
            run.tap(line);
        }
        Event::Nothing
    }

    fn result<'a>(&mut self, mut words: impl Iterator<Item = &'a str>) -> Event {
        let name = words.next().unwrap_or_default();
        let mut number = |key: &str| {
            words
                .next()
                .and_then(|word| word.strip_prefix(key))
                .and_then(|v| v.parse().ok())
                .unwrap_or(-1)
        };
        let end = (number("exit="), number("signal="));
        match self.runs.last_mut() {
            Some(run) if run.name == name => {
                run.end = Some(end);
                Event::End
            }
            _ => Event::Nothing,
        }
    }
}

impl Run {
    fn tap(&mut self, line: &str) {
        let (passed, rest) = if let Some(rest) = line.strip_prefix("ok ") {
            (true, rest)
        } else if let Some(rest) = line.strip_prefix("not ok ") {
            (false, rest)
        } else {
            if let Some(plan) = line.strip_prefix("1..").and_then(|n| n.parse().ok()) {
                self.plan = Some(plan);
            } else if !line.is_empty() {
                self.notes.push(line.to_owned());
            }
            return;
        };
        let Some((_, rest)) = rest.split_once(" - ") else {
            return;
        };
        let (name, directive) = rest.split_once(" # ").unwrap_or((rest, ""));
        let mut notes = std::mem::take(&mut self.notes);
        if !passed {
            notes.push(directive.to_owned());
        }
        self.cases.push(Case {
            name: name.trim().to_owned(),
            outcome: match (passed, directive.starts_with("SKIP")) {
                (true, false) => Outcome::Pass,
                (true, true) => Outcome::Skip,
                (false, _) => Outcome::Fail,
            },
            notes,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Log {
        let mut log = Log::default();
        for line in text.lines() {
            log.line(line);
        }
        log
    }

    #[test]
    fn a_clean_run_gives_its_cases() {
        let log = read(
            "boot noise\nzt-start Linux 6.1\nzt-run a/b\n1..2\nok 1 - a/b:x\n# skip: no net\n\
             ok 2 - a/b:y # SKIP\n\nzt-result a/b exit=0 signal=0\nzt-done ran=1 failed=0\n",
        );
        assert!(log.started && log.done && log.current().is_none());
        let verdicts = log.runs[0].verdicts();
        assert_eq!(verdicts.len(), 2);
        assert_eq!(verdicts[0].outcome, Outcome::Pass);
        assert_eq!(verdicts[1].outcome, Outcome::Skip);
        assert_eq!(verdicts[1].notes, ["# skip: no net"]);
    }

    #[test]
    fn the_exit_status_outweighs_what_is_printed() {
        let bad = read("zt-run a/b\n1..1\nok 1 - a/b:x\nzt-result a/b exit=3 signal=0");
        assert_eq!(bad.runs[0].verdicts()[1].outcome, Outcome::Fail);
        let short = read("zt-run a/b\n1..2\nok 1 - a/b:x\nzt-result a/b exit=0 signal=0");
        assert_eq!(short.runs[0].verdicts()[1].outcome, Outcome::Fail);
        let killed = read("zt-run a/b\n1..1\nok 1 - a/b:x\nzt-result a/b exit=-1 signal=9");
        assert_eq!(killed.runs[0].verdicts()[1].outcome, Outcome::Fail);
    }

    #[test]
    fn a_boot_that_stops_leaves_its_program_unended() {
        let log = read("zt-run a/b\n1..2\nok 1 - a/b:x\npanic: oh");
        assert_eq!(log.current().map(|r| r.name.as_str()), Some("a/b"));
        assert_eq!(log.runs[0].verdicts()[1].name, "a/b");
    }
}
