//! `expectations.toml`: every exception, per target, with its reason.

use crate::console::{Case, Outcome};
use crate::project;
use anyhow::{Context, Result};
use serde::Deserialize;

/// Where the tests ran.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Target {
    Zcell,
    Linux,
    Native,
}

impl Target {
    /// The word used for it on the command line and in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Zcell => "zcell",
            Self::Linux => "linux",
            Self::Native => "native",
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Expected {
    Fail,
    Skip,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Exception {
    target: Target,
    /// `area/file:case`, or `area/file` for the program as a whole.
    test: String,
    /// The number of CPUs with which it holds; with any if absent.
    cpus: Option<u32>,
    outcome: Expected,
    reason: String,
}

/// The exceptions of one target.
pub struct Expectations {
    exceptions: Vec<Exception>,
    /// Skips need no entry here.
    lenient: bool,
}

/// What an outcome counts as.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    Passed,
    Failed,
    /// Failed or skipped, as an exception says.
    Excepted,
}

impl Expectations {
    /// Those of a target that runs with so many CPUs.
    pub fn load(target: Target, cpus: u32) -> Result<Self> {
        let path = project::root().join("user-tests/expectations.toml");
        let text = String::from_utf8(project::read(&path)?)?;
        Self::parse(&text, target, cpus).with_context(|| format!("in {}", path.display()))
    }

    fn parse(text: &str, target: Target, cpus: u32) -> Result<Self> {
        #[derive(Deserialize)]
        struct File {
            #[serde(default)]
            exception: Vec<Exception>,
        }
        let file: File = toml::from_str(text)?;
        for e in &file.exception {
            anyhow::ensure!(!e.reason.trim().is_empty(), "{} has no reason", e.test);
        }
        Ok(Self {
            exceptions: file
                .exception
                .into_iter()
                .filter(|e| e.target == target && e.cpus.is_none_or(|n| n == cpus))
                .collect(),
            lenient: target == Target::Native,
        })
    }

    /// Weigh an outcome; the text explains a failure.
    pub fn judge(&self, case: &Case) -> (Verdict, Option<String>) {
        let exception = self.exceptions.iter().find(|e| e.test == case.name);
        match (case.outcome, exception.map(|e| e.outcome)) {
            (Outcome::Pass, None) => (Verdict::Passed, None),
            (Outcome::Fail, Some(Expected::Fail)) | (Outcome::Skip, Some(Expected::Skip)) => {
                (Verdict::Excepted, None)
            }
            (Outcome::Skip, None) if self.lenient => (Verdict::Excepted, None),
            (Outcome::Pass, Some(_)) => (
                Verdict::Failed,
                Some("passed, but expectations.toml has an exception for it".to_owned()),
            ),
            (Outcome::Skip, _) => (
                Verdict::Failed,
                Some("skipped, and expectations.toml does not say why".to_owned()),
            ),
            (Outcome::Fail, _) => (Verdict::Failed, None),
        }
    }

    /// Exceptions for cases that a program did not have. `names` are the
    /// program's case names.
    pub fn stale(&self, program: &str, names: &[&str]) -> Vec<String> {
        self.exceptions
            .iter()
            .filter(|e| e.test.split(':').next() == Some(program))
            .filter(|e| e.test.contains(':') && !names.contains(&e.test.as_str()))
            .map(|e| e.test.clone())
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"
        [[exception]]
        target = "linux"
        test = "a/b:x"
        outcome = "fail"
        reason = "because"
    "#;

    fn case(outcome: Outcome) -> Case {
        Case {
            name: "a/b:x".to_owned(),
            outcome,
            notes: Vec::new(),
        }
    }

    #[test]
    fn an_exception_must_be_used_as_it_says() {
        let linux = Expectations::parse(TEXT, Target::Linux, 2).unwrap();
        assert_eq!(linux.judge(&case(Outcome::Fail)).0, Verdict::Excepted);
        assert_eq!(linux.judge(&case(Outcome::Pass)).0, Verdict::Failed);
        assert_eq!(linux.judge(&case(Outcome::Skip)).0, Verdict::Failed);
        assert_eq!(linux.stale("a/b", &["a/b:y"]), ["a/b:x"]);
        let zcell = Expectations::parse(TEXT, Target::Zcell, 2).unwrap();
        assert_eq!(zcell.judge(&case(Outcome::Fail)).0, Verdict::Failed);
        assert_eq!(zcell.judge(&case(Outcome::Pass)).0, Verdict::Passed);
    }

    #[test]
    fn an_exception_may_be_for_a_number_of_cpus() {
        let text = TEXT.replace("outcome", "cpus = 1\n        outcome");
        let judge = |cpus, outcome| {
            let linux = Expectations::parse(&text, Target::Linux, cpus).unwrap();
            linux.judge(&case(outcome)).0
        };
        assert_eq!(judge(1, Outcome::Fail), Verdict::Excepted);
        assert_eq!(judge(2, Outcome::Fail), Verdict::Failed);
        assert_eq!(judge(2, Outcome::Pass), Verdict::Passed);
    }

    #[test]
    fn a_reason_is_required() {
        let text = TEXT.replace("because", " ");
        assert!(Expectations::parse(&text, Target::Linux, 2).is_err());
    }
}
