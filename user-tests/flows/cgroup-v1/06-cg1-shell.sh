# Controllers that this kernel does not have, and so other numbers of hierarchies.
#: drop ^(\d+:)?(blkio|hugetlb|perf_event|net_cls|net_prio|net_cls,net_prio)(:.*)?$
#: vary ^\d+:
# What it does not count or do is not listed: buffers of TCP apart from other memory, the move of charges, faults by direction.
#: drop ^memory\.(kmem\.tcp\..*|move_charge_at_immigrate)$
#: drop ^(total_)?(mapped_file|pgpgin|pgpgout|unevictable) \d+$
#: vary nr_(periods|throttled) \d+
#: vary ^\d{3}$
#: vary (throttled_time|user|system) \d+
#: vary ^\d{8,9}$
sh -c 'cd /sys/fs/cgroup; ls; ls cpu memory pids; mkdir cpu/t memory/t pids/t; ls cpu/t memory/t pids/t; echo $$ > cpu/t/tasks; cat cpu/t/tasks cpu/t/cgroup.procs; echo 50000 > cpu/t/cpu.cfs_quota_us; cat cpu/t/cpu.cfs_quota_us cpu/t/cpu.cfs_period_us cpu/t/cpu.shares cpu/t/cpu.stat cpu/t/cpuacct.usage cpu/t/cpuacct.stat; echo 1 > cpu/t/notify_on_release; printf "#!/bin/sh\necho released \$1 >> /tmp/released\n" > /tmp/agent; chmod +x /tmp/agent; echo /tmp/agent > cpu/release_agent; cat cpu/release_agent; cat /proc/self/cgroup; echo $$ > cpu/tasks; sleep 1; rmdir cpu/t; sleep 1; cat /tmp/released; echo 32M > memory/t/memory.limit_in_bytes; cat memory/t/memory.limit_in_bytes memory/t/memory.usage_in_bytes memory/t/memory.max_usage_in_bytes memory/t/memory.failcnt memory/t/memory.oom_control memory/t/memory.swappiness memory/t/memory.stat; echo 5 > pids/t/pids.max; cat pids/t/pids.current pids/t/pids.max; rmdir memory/t pids/t; cat cpuset/cpuset.cpus cpuset/cpuset.mems; mkdir cpuset/t; echo $$ > cpuset/t/tasks; echo rc $?; echo 0 > cpuset/t/cpuset.cpus; echo 0 > cpuset/t/cpuset.mems; echo $$ > cpuset/t/tasks; echo $$ > cpuset/tasks; rmdir cpuset/t; mkdir freezer/t; sleep 50 & echo $! > freezer/t/tasks; echo FROZEN > freezer/t/freezer.state; cat freezer/t/freezer.state; echo THAWED > freezer/t/freezer.state; kill $!; sleep 0.5; rmdir freezer/t; mkdir devices/t; cat devices/t/devices.list; echo a > devices/t/devices.deny; echo "c 1:3 rwm" > devices/t/devices.allow; cat devices/t/devices.list; rmdir devices/t'
