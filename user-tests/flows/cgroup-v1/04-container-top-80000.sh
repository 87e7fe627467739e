#: only COMMAND|threads-cpu|^nr_|child|^===
#: drop ^nr_(periods|throttled)
#: numbers
QUOTA=80000 container mycontainer $R /threads-cpu 2 & sleep 4; top -bn2 -d 5 -w 120 | grep -E "Cpu|COMMAND|threads-cpu" | tail -3; cat /sys/fs/cgroup/cpu/group1/cpu.stat; pkill -9 threads-cpu; wait
