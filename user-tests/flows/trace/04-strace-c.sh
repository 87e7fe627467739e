strace -f -c -o /tmp/c sh -c 'ls /rootfs | wc'; awk 'NR > 2 && NF > 3 { print $4, NF == 6 ? $5 : "", $NF }' /tmp/c | sort
