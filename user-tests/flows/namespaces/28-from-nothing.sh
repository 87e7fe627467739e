# The steps of docs/containers-from-nothing.md.
# The number of a process, and half a CPU.
#: vary line \d+: +\d+
#: vary ^(4[89]|5[0-2])\.\d
unshare --uts sh -c 'hostname box; hostname'; hostname
unshare --pid --fork --mount-proc ps -o pid,args
unshare --mount --pid --fork sh -c '
    mount --bind /rootfs /rootfs; cd /rootfs; mkdir -p old
    pivot_root . old
    mount -t proc proc /proc; umount -l /old
    exec /bin/sh -c "ls /; ps"'
setpriv --reuid 1000 --clear-groups unshare --user --map-root-user --mount sh -c '
    id -u; cat /proc/self/uid_map; mount -t tmpfs none /mnt && echo mounted'
unshare --net sleep 1000 & box=$!
sleep 1
ip link add veth0 type veth peer name veth1 netns $box
ip address add 10.0.0.1/24 dev veth0
ip link set veth0 up
nsenter --target $box --net ip address add 10.0.0.2/24 dev veth1
nsenter --target $box --net ip link set veth1 up
ping -c 1 10.0.0.2
cd /sys/fs/cgroup
mkdir box
echo 20 > box/pids.max
echo 16M > box/memory.max
sh -c 'echo $$ > box/cgroup.procs; exec forkn 40'
cat box/pids.events
sh -c 'echo $$ > box/cgroup.procs; exec memhog 64'
grep oom_kill box/memory.events
echo "50000 100000" > box/cpu.max
sh -c 'echo $$ > box/cgroup.procs; exec threads-cpu 1' & busy=$!
sleep 3; top -b -n 2 -d 2 -p $busy | tail -1 | awk '{ print $9, $12 }'
echo 1 > box/cgroup.kill; sleep 1; rmdir box
kill $box; sleep 1; ip link show veth0
