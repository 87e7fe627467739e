//! Whom the kernel's own strace follows (`strace=` on the command line).

use super::{Task, ThreadFlags};

impl Task {
    /// Sets or clears [`ThreadFlags::STRACE`] by the task's name and its number in the initial pid
    /// namespace. Called when a task starts and when its name changes.
    pub fn follow_strace(&self) {
        let Some(wanted) = self.kernel().cmdline.value("strace") else {
            return;
        };
        let comm = self.comm();
        let name = comm.split(|&byte| byte == 0).next().unwrap_or_default();
        let nr = self.pid().global_nr().0;
        let follows = wanted
            .split(',')
            .any(|wanted| wanted.as_bytes() == name || wanted == "*" || wanted.parse() == Ok(nr));
        if follows {
            self.set_thread_flags(ThreadFlags::STRACE);
        } else {
            self.clear_thread_flags(ThreadFlags::STRACE);
        }
    }
}
