//! The kernel command line (`bootparam(7)`, `Documentation/admin-guide/kernel-parameters.rst`).
//!
//! Words are separated by blanks; double quotes keep blanks together. A word that the kernel knows
//! is the kernel's; another `name=value` goes into the environment of init, another plain word
//! becomes an argument of init, and all words after `--` are arguments. A word with a dot
//! in its name belongs to some module and is dropped, as in Linux.

use alloc::string::String;
use alloc::vec::Vec;

/// Words that the kernel takes for itself, here or in its machine part, or that mean something to
/// a Linux kernel of the same command line and nothing here.
const KERNEL_WORDS: &[&str] = &[
    "console",
    "quiet",
    "debug",
    "loglevel",
    "init",
    "rdinit",
    "panic",
    "maxcpus",
    "nr_cpus",
    "nosmp",
    "strace",
    "norandmaps",
    "vdso",
    "root",
    "rootfstype",
    "ro",
    "rw",
    "rootwait",
    "earlyprintk",
    "noapic",
    "nokaslr",
    "tsc",
    "mitigations",
    "lsm",
    "audit",
    "init_on_alloc",
    "randomize_kstack_offset",
    "reboot",
    "initrd",
    "BOOT_IMAGE",
    "cgroup_no_v1",
    "ignore_loglevel",
];

/// The parsed command line.
#[derive(Default, Debug, Clone)]
pub struct Cmdline {
    text: String,
    words: Vec<(String, Option<String>)>,
    /// Arguments for init, without its name.
    pub init_args: Vec<String>,
    /// Environment of init, after `HOME` and `TERM`.
    pub init_env: Vec<String>,
}

impl Cmdline {
    /// Parses a command line.
    pub fn parse(text: &str) -> Cmdline {
        let mut cmdline = Cmdline {
            text: text.into(),
            ..Cmdline::default()
        };
        let mut rest_is_args = false;
        for word in split(text) {
            if rest_is_args {
                cmdline.init_args.push(word);
            } else if word == "--" {
                rest_is_args = true;
            } else {
                cmdline.take(word);
            }
        }
        cmdline
    }

    fn take(&mut self, word: String) {
        let (name, value) = match word.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (word.as_str(), None),
        };
        if !KERNEL_WORDS.contains(&name) && !name.contains('.') {
            match value {
                Some(_) => self.init_env.push(word.clone()),
                None => self.init_args.push(word.clone()),
            }
        }
        self.words.push((name.into(), value.map(String::from)));
    }

    /// The text as it was given (`/proc/cmdline`).
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether the word is there, with or without a value.
    pub fn has(&self, name: &str) -> bool {
        self.words.iter().any(|(word, _)| word == name)
    }

    /// The value of the last `name=value`.
    pub fn value(&self, name: &str) -> Option<&str> {
        let word = self
            .words
            .iter()
            .rev()
            .find(|(word, value)| word == name && value.is_some())?;
        word.1.as_deref()
    }
}

fn split(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let (mut quoted, mut started) = (false, false);
    for c in text.chars() {
        match c {
            '"' => {
                quoted = !quoted;
                started = true;
            }
            c if c.is_whitespace() && !quoted => {
                if core::mem::take(&mut started) {
                    words.push(core::mem::take(&mut word));
                }
            }
            c => {
                word.push(c);
                started = true;
            }
        }
    }
    if started {
        words.push(word);
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_go_where_linux_sends_them() {
        let cmdline =
            Cmdline::parse("console=ttyS0 quiet ktest=mm single A=\"b c\" printk.time=1 rdinit=/x -- -v 1");
        assert_eq!(cmdline.init_env, ["ktest=mm", "A=b c"]);
        assert_eq!(cmdline.init_args, ["single", "-v", "1"]);
        assert_eq!(cmdline.value("rdinit"), Some("/x"));
        assert!(cmdline.has("quiet") && !cmdline.has("loglevel"));
    }

    #[test]
    fn the_last_value_wins() {
        assert_eq!(Cmdline::parse("panic=1 panic=-1").value("panic"), Some("-1"));
    }
}
