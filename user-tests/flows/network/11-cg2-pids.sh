sh -c 'cd /sys/fs/cgroup; mkdir t; echo 10 > t/pids.max; sh -c "echo \$\$ > t/cgroup.procs; exec forkn 20"; echo st $?; cat t/pids.events t/pids.peak 2>/dev/null; rmdir t'
