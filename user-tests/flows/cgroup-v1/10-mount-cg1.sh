# Controllers and pressure files that this kernel does not have.
#: drop ^([a-z]+\.pressure|misc\.capacity|rdma misc)$
sh -c 'unshare -m sh -c "mkdir -p /tmp/cgm; mount -t cgroup -o none,name=foo foo /tmp/cgm; ls /tmp/cgm; mkdir /tmp/cgm/x; rmdir /tmp/cgm/x; umount /tmp/cgm; mount -t cgroup -o cpu c /tmp/cgm; mount -t cgroup2 none /mnt; ls /mnt; cat /mnt/cgroup.controllers"'
