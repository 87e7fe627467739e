# How often the limit was met.
#: vary ^max \d+
sh -c 'cd /sys/fs/cgroup; mkdir t; echo 16M > t/memory.max; echo 0 > t/memory.swap.max; sh -c "echo \$\$ > t/cgroup.procs; exec memhog 64"; echo st $?; cat t/memory.events t/memory.peak; rmdir t'
