//! procfs and sysfs as a process finds them.

#[allow(dead_code)]
mod support;

use linux_object::sim::User;
use support::*;

const OPEN: u64 = 2;
const READ: u64 = 0;
const WRITE: u64 = 1;
const CLOSE: u64 = 3;
const READLINK: u64 = 89;

struct Proc<'a> {
    user: &'a User,
    memory: u64,
}

impl<'a> Proc<'a> {
    /// With procfs and sysfs mounted.
    fn new(user: &'a User) -> Proc<'a> {
        let this = Proc {
            user,
            memory: mmap(user, 16 * 4096),
        };
        for (kind, dir) in [("proc", "/proc"), ("sysfs", "/sys")] {
            let at = this.text(dir);
            user.call(83, &[at, 0o755]);
            user.write(this.memory + 512, format!("{kind}\0").as_bytes());
            assert_eq!(user.call(165, &[at, at, this.memory + 512, 0, 0]), 0);
        }
        this
    }
    fn text(&self, text: &str) -> u64 {
        self.user.write(self.memory, format!("{text}\0").as_bytes());
        self.memory
    }
    fn try_read(&self, path: &str, piece: u64) -> Result<String, i64> {
        let fd = self.user.call(OPEN, &[self.text(path), 0, 0]);
        if fd < 0 {
            return Err(fd);
        }
        let mut text = Vec::new();
        loop {
            let count = self.user.call(READ, &[fd as u64, self.memory + 4096, piece]);
            if count < 0 {
                return Err(count);
            }
            if count == 0 {
                break;
            }
            text.extend(self.user.read(self.memory + 4096, count as usize));
        }
        assert_eq!(self.user.call(CLOSE, &[fd as u64]), 0);
        Ok(String::from_utf8(text).unwrap())
    }
    fn read(&self, path: &str) -> String {
        self.try_read(path, 4096)
            .unwrap_or_else(|error| panic!("{path}: {error}"))
    }
    fn write(&self, path: &str, text: &str) -> i64 {
        let fd = self.user.call(OPEN, &[self.text(path), 1, 0]);
        if fd < 0 {
            return fd;
        }
        let at = self.text(text);
        let result = self.user.call(WRITE, &[fd as u64, at, text.len() as u64]);
        self.user.call(CLOSE, &[fd as u64]);
        result
    }
    fn readlink(&self, path: &str) -> String {
        let len = self
            .user
            .call(READLINK, &[self.text(path), self.memory + 4096, 4096]);
        assert!(len >= 0, "{path}: {len}");
        String::from_utf8(self.user.read(self.memory + 4096, len as usize)).unwrap()
    }
    /// The value of a line of `status`.
    fn status(&self, pid: &str, name: &str) -> String {
        let status = self.read(&format!("/proc/{pid}/status"));
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(":\t"));
        line.unwrap_or_else(|| panic!("no {name} in {status}")).into()
    }
}

#[test]
fn a_process_finds_itself() {
    scenario(|user| {
        let proc = Proc::new(user);
        assert_eq!(proc.readlink("/proc/self"), "1");
        assert_eq!(proc.readlink("/proc/thread-self"), "1/task/1");
        assert_eq!(proc.status("self", "Pid"), "1");
        assert_eq!(proc.status("self", "PPid"), "0");
        assert_eq!(proc.status("self", "Uid"), "0\t0\t0\t0");
        assert_eq!(proc.status("self", "Name"), "init");
        assert_eq!(proc.status("self", "State"), "R (running)");
        let stat = proc.read("/proc/self/stat");
        assert!(stat.starts_with("1 (init) R 0 "), "{stat}");
        assert_eq!(stat.trim_end().split(' ').count(), 52, "{stat}");
        assert_eq!(proc.readlink("/proc/self/cwd"), "/");
        assert_eq!(proc.readlink("/proc/self/ns/uts"), "uts:[4026531838]");
        assert_eq!(proc.readlink("/proc/1/ns/user"), "user:[4026531837]");
        assert_eq!(proc.read("/proc/self/cgroup"), "");
        assert_eq!(proc.write("/proc/self/comm", "other name, too long"), 20);
        assert_eq!(proc.read("/proc/1/comm"), "other name, too\n");
    });
}

#[test]
fn small_reads_give_the_whole_text() {
    scenario(|user| {
        let proc = Proc::new(user);
        for path in [
            "/proc/filesystems",
            "/proc/mounts",
            "/proc/self/limits",
            "/proc/sys/kernel/printk",
        ] {
            assert_eq!(proc.try_read(path, 7).unwrap(), proc.read(path), "{path}");
        }
        assert!(
            proc.read("/proc/mounts")
                .contains("proc /proc proc rw,relatime 0 0\n")
        );
    });
}

#[test]
fn children_appear_and_vanish() {
    scenario(|user| {
        let proc = Proc::new(user);
        let child = fork(user, |child| {
            let proc = Proc {
                user: child,
                memory: mmap(child, 16 * 4096),
            };
            assert_eq!(proc.status("self", "PPid"), "1");
            loop {
                child.call(34, &[]);
            }
        });
        assert_eq!(proc.status(&child.to_string(), "Tgid"), child.to_string());
        user.call(KILL, &[child as u64, 9]);
        for turn in 0.. {
            let state = proc.status(&child.to_string(), "State");
            if state == "Z (zombie)" {
                break;
            }
            assert!(turn < 1000, "{state}");
            sleep(user, 1_000_000);
        }
        let stat = proc.read(&format!("/proc/{child}/stat"));
        assert!(stat.contains(") Z 1 "), "{stat}");
        assert_eq!(proc.read(&format!("/proc/{child}/cmdline")), "");
        assert_eq!(wait(user, child, 0), (child, 9));
        assert_eq!(proc.try_read(&format!("/proc/{child}/stat"), 4096), Err(-2));
    });
}

#[test]
fn settings_keep_their_ranges() {
    scenario(|user| {
        let proc = Proc::new(user);
        assert_eq!(proc.read("/proc/sys/kernel/ostype"), "Linux\n");
        assert_eq!(proc.write("/proc/sys/kernel/hostname", "host\n"), 5);
        assert_eq!(proc.read("/proc/sys/kernel/hostname"), "host\n");
        assert_eq!(proc.write("/proc/sys/kernel/pid_max", "300"), -22);
        assert_eq!(proc.write("/proc/sys/kernel/pid_max", "0x1000\n"), 7);
        assert_eq!(proc.read("/proc/sys/kernel/pid_max"), "4096\n");
        assert_eq!(proc.write("/proc/sys/kernel/ostype", "x"), -13);
        assert_eq!(proc.write("/proc/sys/user/max_uts_namespaces", "0"), 1);
        assert_eq!(user.call(272, &[0x0400_0000]), -28);
        assert_eq!(proc.write("/proc/self/oom_score_adj", "1001"), -22);
        assert_eq!(proc.write("/proc/self/oom_score_adj", "-5\n"), 3);
        assert_eq!(proc.read("/proc/self/oom_score_adj"), "-5\n");
    });
}

#[test]
fn maps_of_a_user_namespace_are_written_once() {
    scenario(|user| {
        let proc = Proc::new(user);
        assert_eq!(
            proc.read("/proc/self/uid_map"),
            "         0          0 4294967295\n"
        );
        let child = fork(user, |child| {
            let proc = Proc {
                user: child,
                memory: mmap(child, 16 * 4096),
            };
            assert_eq!(child.call(272, &[0x1000_0000]), 0);
            assert_eq!(proc.read("/proc/self/uid_map"), "");
            assert_eq!(proc.status("self", "Uid"), "65534\t65534\t65534\t65534");
            assert_eq!(proc.write("/proc/self/gid_map", "0 0 1"), -1);
            assert_eq!(proc.write("/proc/self/setgroups", "deny\n"), 5);
            assert_eq!(proc.write("/proc/self/gid_map", "0 0 1\n"), 6);
            assert_eq!(proc.write("/proc/self/setgroups", "allow"), -1);
            assert_eq!(proc.write("/proc/self/uid_map", "7 0 1\n"), 6);
            assert_eq!(proc.write("/proc/self/uid_map", "7 0 1\n"), -1);
            assert_eq!(proc.status("self", "Uid"), "7\t7\t7\t7");
            assert_eq!(
                proc.read("/proc/self/uid_map"),
                "         7          0          1\n"
            );
            0
        });
        assert_eq!(wait(user, child, 0), (child, 0));
    });
}

#[test]
fn the_namespace_tree_shows_every_namespace() {
    scenario(|user| {
        let proc = Proc::new(user);
        let tree = proc.read("/sys/kernel/namespaces/tree");
        assert!(tree.starts_with("user:[4026531837] koid "), "{tree}");
        assert_eq!(tree.lines().count(), 8, "{tree}");
        assert_eq!(user.call(272, &[0x0400_0000]), 0);
        let tree = proc.read("/sys/kernel/namespaces/tree");
        assert!(tree.lines().last().unwrap().starts_with("`-uts:["), "{tree}");
        assert!(tree.ends_with(" members 1\n"), "{tree}");
        assert_eq!(proc.read("/sys/kernel/namespaces/list").lines().count(), 10);
    });
}
