#: vary ^\d+\.\d+ \d+\.\d+$
unshare --mount --uts --ipc --net --pid --fork --cgroup --time --boottime 1000 --mount-proc sh -c 'cat /proc/uptime; cat /proc/self/cgroup; ls -l /proc/self/ns; readlink /proc/1/ns/time'
