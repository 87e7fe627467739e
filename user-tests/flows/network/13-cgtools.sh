# Controllers that this kernel does not have.
#: vary ^cpuset,cpu,(io,)?memory,(hugetlb,)?pids(,rdma,misc)?:
# The first lines of all files of a directory, which Linux lists in the order of a hash.
#: drop ^(memory\.(events|current|peak|min|low): .*|\t(high|max|oom) 0)$
# The number of a process.
#: vary ^\d+$
sh -c 'cgcreate -a root:root -t root:root -g cpu,memory,pids:test; lscgroup -g cpu:test; cgset -r memory.max=64M -r cpu.max="50000 100000" -r pids.max=20 test; cgget -r memory.max -r cpu.max -r pids.max test; cgget -g memory:test | head -5; cgexec -g cpu,memory,pids:test sh -c "cat /proc/self/cgroup; echo in"; sleep 30 & cgclassify -g cpu,memory,pids:test $!; cat /sys/fs/cgroup/test/cgroup.procs; kill $!; sleep 0.2; cgdelete -r cpu,memory,pids:test; ls -d /sys/fs/cgroup/test; cgsnapshot -s 2>/dev/null | head -5'
