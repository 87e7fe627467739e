#: vary 0x[0-9a-f]+
#: vary \d+ vars
#: vary (si_pid=|wait4\(-?|= |tidptr=|set_tid_address\(|pid=)\d+
#: vary si_[us]time=\d+
#: drop arch_prctl|getrandom|prlimit64|SIGCHLD|fstat|st_|rt_sigreturn|wait4
cd /tmp && strace -ff -o t sh -c 'echo one | cat; sh -c "exit 4"'; ls t.* | wc -l; for f in $(ls t.* | sort -V); do echo "== file"; cat $f; done
