crun run c1          # in a bundle: config of `runc spec`, terminal false, root writable, args below, memory 67108864, cpu quota 50000/100000 shares 512, pids 32
# args: sh -c 'id; hostname; ps; mount; ls /dev; cat /proc/self/cgroup; ip addr; cat /proc/self/status | grep -E "Cap|NoNew|Seccomp"'
