#: unordered
sh -c 'QUOTA=100000 container mycontainer /rootfs /bin/sh -c "/server 8888; echo server done" & n=0; until ip netns identify $$ >/dev/null; ping -c1 -W1 192.168.31.10 >/dev/null 2>&1; do n=$((n+1)); [ $n -gt 40 ] && break; sleep 0.5; done; sleep 2; ip addr show veth0; client 192.168.31.10 8888 || pkill -9 server; wait'
