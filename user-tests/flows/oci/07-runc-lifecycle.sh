#: vary ^r2 +\d+ +
#: vary ^root +\d+ +
#: vary \d{4}-\d\d-\d\dT[^ ]+
#: vary ^UID .*
. /flows/oci/bundle
bundle /tmp/b7 '["sleep", "100"]'
runc create r2 </dev/null >/dev/null 2>&1; runc list; runc start r2; runc exec r2 sh -c 'id; ps'; runc update --pids-limit 20 --memory 50331648 r2; cat /sys/fs/cgroup/r2/memory.max /sys/fs/cgroup/r2/pids.max; runc pause r2; runc list; runc resume r2; runc kill r2 KILL; sleep 0.5; runc list; runc delete r2; runc list; ls -d /sys/fs/cgroup/r2
