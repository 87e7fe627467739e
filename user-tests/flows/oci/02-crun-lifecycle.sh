#: vary "pid": \d+
#: vary ^c2 +\d+
#: vary ^\d+$
. /flows/oci/bundle
bundle /tmp/b2 '["sleep", "100"]'
crun create c2; crun state c2; crun start c2; crun list; crun ps c2; crun exec c2 sh -c 'id; ps'; crun update --pids-limit 20 --memory 50331648 c2; cat /sys/fs/cgroup/c2/memory.max /sys/fs/cgroup/c2/pids.max; crun pause c2; crun state c2 | grep status; crun resume c2; crun kill c2 KILL; sleep 0.5; crun state c2 | grep status; crun delete c2; crun list; ls -d /sys/fs/cgroup/c2
