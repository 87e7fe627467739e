# Controllers that this kernel does not have, and pressure.
#: drop ^(cat: t/)?((io|misc|rdma|hugetlb\.[12][MG]B)\.[a-z_.]+|(cgroup|cpu|memory)\.pressure)(: No such file.*)?$
#: drop ^(some|full) avg10=
#: vary ^cpuset cpu (io )?memory (hugetlb )?pids( rdma misc)?$
# What it does not count.
#: drop ^(unevictable|pglazyfreed?) 0$
# Numbers of processes, what the shell has used, and how its memory is made up.
#: vary ^\d{3}$|^\d{6}$
#: vary ^(usage|user|system)_usec \d+
#: vary ^(anon|kernel|pagetables|(in)?active_anon|slab(_(un)?reclaimable)?|pgfault) \d+
sh -c 'cd /sys/fs/cgroup; ls; cat cgroup.controllers cgroup.subtree_control; mkdir t; ls t; echo $$ > t/cgroup.procs; cat /proc/self/cgroup; cat t/cgroup.procs t/cgroup.events t/cgroup.type t/cpu.stat t/memory.current t/pids.current t/cpu.max t/memory.max t/pids.max t/cpuset.cpus.effective t/io.stat t/memory.events t/memory.stat t/cgroup.stat t/cpu.pressure t/cpu.weight; echo "50000 100000" > t/cpu.max; echo 32M > t/memory.max; echo 20 > t/pids.max; cat t/cpu.max t/memory.max t/pids.max; mkdir t/sub; echo +pids > t/cgroup.subtree_control; echo rc $?; echo $$ > cgroup.procs; echo "+pids +memory" > t/cgroup.subtree_control; ls t/sub; echo threaded > t/sub/cgroup.type; cat t/sub/cgroup.type; rmdir t/sub; rmdir t; ls -d t'
