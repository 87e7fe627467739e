sh -c 'cat /tmp/in.txt | while read l; do sleep 0.3; echo "$l"; done | script -qec "/rootfs/bin/busybox ash" /dev/null'
