# lssubsys names mounted controllers only if all are mounted: on Linux rdma and misc are not.
#: drop ^(cpuset|cpu,cpuacct|memory|devices|freezer|pids) /sys/fs/cgroup/
# Controllers that this kernel does not have, and so other numbers of hierarchies.
#: drop ^\d+:(blkio|hugetlb|perf_event|net_cls,net_prio):
#: drop ^(rdma|misc)$
#: vary ^\d+:
#: vary ^\d{3}$
sh -c 'lssubsys -am; cgcreate -a root:root -t root:root -g cpu,memory,pids:test; lscgroup | grep test; cgset -r memory.limit_in_bytes=64M -r cpu.cfs_quota_us=50000 -r pids.max=20 test; cgget -r memory.limit_in_bytes -r cpu.cfs_quota_us -r pids.max test; cgexec -g cpu,memory,pids:test sh -c "cat /proc/self/cgroup; echo in"; sleep 30 & cgclassify -g cpu,memory,pids:test $!; cat /sys/fs/cgroup/cpu/test/tasks; kill $!; sleep 0.2; cgdelete -r cpu,memory,pids:test; ls -d /sys/fs/cgroup/cpu/test'
