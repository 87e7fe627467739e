# Times and memory.
#: numbers
sh -c 'cd /sys/fs/cgroup; mkdir t; echo "20000 100000" > t/cpu.max; sh -c "echo \$\$ > t/cgroup.procs; exec threads-cpu 1" & p=$!; sleep 6; cat t/cpu.stat; top -bn2 -d2 -p $p | tail -1; echo 1 > t/cgroup.freeze; sleep 0.3; cat t/cgroup.events; echo 0 > t/cgroup.freeze; echo 1 > t/cgroup.kill; sleep 0.3; cat t/cgroup.events; rmdir t'
