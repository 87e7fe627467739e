//! `cargo test`, with its counts added up.

use crate::project;
use crate::suite::Tally;
use anyhow::{Context, Result};
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::Instant;

/// Seconds until a host test that hangs is given up.
const PATIENCE: &str = "600";

/// Run every test of the host crates; what they say is printed at once when they are through, because
/// something else may be printing meanwhile.
pub fn run() -> Result<Tally> {
    let start = Instant::now();
    let mut tally = Tally {
        what: "host".to_owned(),
        ..Tally::default()
    };
    let mut cargo = Command::new("timeout")
        .current_dir(project::root())
        .args(["--kill-after=10", PATIENCE, "cargo"])
        .args(["test", "--workspace", "--exclude=zcell", "--all-features"])
        .args(["--no-fail-fast", "--quiet"])
        .stdout(Stdio::piped())
        .spawn()
        .context("start cargo")?;
    let stdout = cargo.stdout.take().context("cargo has no output")?;
    let mut failures = false;
    let mut report = String::from("== host: cargo test\n");
    for line in BufReader::new(stdout).lines() {
        let line = line?;
        if let Some((passed, failed)) = counts(&line) {
            tally.passed += passed;
            tally.failed += failed;
        }
        // From the first report of a failure on, everything is worth reading.
        failures |= line == "failures:";
        if failures {
            report += &format!("   {line}\n");
        }
        if line.starts_with("test result:") {
            failures = false;
        }
    }
    if !cargo.wait()?.success() && tally.failed == 0 {
        report += "   FAIL cargo test did not end well\n";
        tally.failed = 1;
    }
    tally.seconds = start.elapsed().as_secs();
    report += &format!("   {} passed, {} failed\n", tally.passed, tally.failed);
    print!("{report}");
    Ok(tally)
}

/// The counts in `test result: ok. 3 passed; 0 failed; …`.
fn counts(line: &str) -> Option<(u32, u32)> {
    let rest = line.strip_prefix("test result:")?;
    let before = |word: &str| -> Option<u32> {
        rest.split([';', '.'])
            .find_map(|part| part.trim().strip_suffix(word))
            .and_then(|n| n.trim().parse().ok())
    };
    Some((before("passed")?, before("failed")?))
}

#[cfg(test)]
mod tests {
    use super::counts;

    #[test]
    fn counts_of_a_result_line() {
        let line = "test result: FAILED. 12 passed; 3 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.01s";
        assert_eq!(counts(line), Some((12, 3)));
        assert_eq!(counts("test foo ... ok"), None);
    }
}
