#: vary 0x[0-9a-f]+
#: vary /\* \d+ vars \*/
#: vary kill\(\d+|si_pid=\d+|st_size=\d+
#: drop set_tid_address|arch_prctl|getrandom|prlimit64|cpuinfo
strace head -c 3 /etc/hostname; strace -e trace=none true; strace -e trace=exit_group sh -c 'exit 3'; echo $?; strace -e trace=kill -e signal=all sh -c 'kill -TERM $$'; echo $?
