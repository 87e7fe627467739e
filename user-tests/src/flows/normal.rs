//! Outputs without what may differ from run to run.

use crate::project;
use anyhow::{Context, Result};
use regex::Regex;
use std::path::Path;
use std::sync::LazyLock;

/// What differs between any two runs: pattern and what stands for it.
static VARYING: LazyLock<Vec<(Regex, &str)>> = LazyLock::new(|| {
    [
        // The release and version of the kernel.
        (r"6\.1\.[^ ]+ #1 SMP .* x86_64( GNU/Linux)?", "RELEASE"),
        (r"6\.1\.0-[a-z0-9-]+", "RELEASE"),
        // Namespaces that are not the initial ones, and other inode numbers.
        (r"\b40265(31(84[2-9]|8[5-9]\d|9\d\d)|3[2-9]\d{3})\b", "NSID"),
        (r"\b([0-9a-f]{1,2}:){5}[0-9a-f]{1,2}\b", "MAC"),
        (r"\bfe80::[0-9a-f:]+", "LINKLOCAL"),
        (r"\b8000\.[0-9a-f:.]+", "BRIDGEID"),
        // Times and dates.
        (r"\d{4}-\d\d-\d\dT[\d:.]+Z", "TIME"),
        (
            r"\b(Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) +\d+ +\d\d:\d\d",
            "TIME",
        ),
        (r"\b\d\d:\d\d:\d\d\b", "TIME"),
        (r"time[= ][\d.]+ ?ms", "time"),
        (r"(rtt|round-trip) min.*", "rtt"),
        // The number of a network device.
        (r"^\d+: ", "N: "),
        (r"@if\d+", "@ifN"),
        (r" +", " "),
    ]
    .into_iter()
    .map(|(pattern, word)| (Regex::new(pattern).expect("a valid pattern"), word))
    .collect()
});

static NUMBER: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"\d[\d.,]*").expect("a valid pattern"));

/// What a flow says about its own output.
#[derive(Default)]
pub struct Rules {
    vary: Vec<Regex>,
    drop: Vec<Regex>,
    only: Vec<Regex>,
    numbers: bool,
    unordered: bool,
}

impl Rules {
    /// From the `#:` lines of a script.
    pub fn read(script: &Path) -> Result<Self> {
        let text = String::from_utf8(project::read(script)?)?;
        Self::parse(&text).with_context(|| format!("in {}", script.display()))
    }

    fn parse(text: &str) -> Result<Self> {
        let mut rules = Self::default();
        for rule in text.lines().filter_map(|l| l.strip_prefix("#: ")) {
            match rule.split_once(' ').unwrap_or((rule, "")) {
                ("vary", pattern) => rules.vary.push(Regex::new(pattern)?),
                ("only", pattern) => rules.only.push(Regex::new(pattern)?),
                ("drop", pattern) => rules.drop.push(Regex::new(pattern)?),
                ("numbers", "") => rules.numbers = true,
                ("unordered", "") => rules.unordered = true,
                _ => anyhow::bail!("no rule {rule:?}"),
            }
        }
        Ok(rules)
    }

    fn normal(&self, lines: &[String]) -> Vec<String> {
        let mut kept: Vec<String> = lines
            .iter()
            .filter(|line| self.only.is_empty() || self.only.iter().any(|o| o.is_match(line)))
            .filter(|line| !self.drop.iter().any(|d| d.is_match(line)))
            .map(|line| self.line(line))
            .collect();
        if self.unordered {
            kept.sort();
        }
        kept
    }

    fn line(&self, line: &str) -> String {
        let mut line = line.trim_end().to_owned();
        for pattern in &self.vary {
            line = pattern.replace_all(&line, "…").into_owned();
        }
        for (pattern, word) in VARYING.iter() {
            line = pattern.replace_all(&line, *word).into_owned();
        }
        if self.numbers && !line.starts_with("=== rc") {
            line = NUMBER.replace_all(&line, "N").into_owned();
        }
        line
    }

    /// The lines that only one side has: `-` on Linux, `+` on zcell.
    pub fn compare(&self, linux: &[String], zcell: &[String]) -> Vec<String> {
        let (linux, zcell) = (self.normal(linux), self.normal(zcell));
        let mut out = Vec::new();
        for change in diff::slice(&linux, &zcell) {
            match change {
                diff::Result::Left(line) => out.push(format!("- {line}")),
                diff::Result::Right(line) => out.push(format!("+ {line}")),
                diff::Result::Both(..) => {}
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<String> {
        text.lines().map(str::to_owned).collect()
    }

    #[test]
    fn hides_what_varies_and_nothing_else() {
        let rules = Rules::default();
        let linux = lines("3: veth1@if4: mtu 1500\nuts -> uts:[4026532190]\nuser -> user:[4026531837]");
        let zcell = lines("7: veth1@if8: mtu 1500\nuts -> uts:[4026532211]\nuser -> user:[4026531837]");
        assert!(rules.compare(&linux, &zcell).is_empty());
        let wrong = lines("7: veth1@if8: mtu 1400\nuts -> uts:[4026532211]\nuser -> user:[4026532200]");
        assert_eq!(rules.compare(&linux, &wrong).len(), 4);
    }

    #[test]
    fn obeys_the_rules_of_the_flow() {
        let rules = Rules::parse("#: drop kworker\n#: numbers\n#: unordered\necho").unwrap();
        assert!(
            rules
                .compare(&lines("b 1\na 2\nkworker"), &lines("a 3\nb 4"))
                .is_empty()
        );
        assert!(Rules::parse("#: frobnicate").is_err());
    }
}
