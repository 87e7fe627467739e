# To the router of QEMU's user network, and to a server behind it.
#: vary time[= ][\d.]+
#: vary rtt .*
bash -c 'ip link set wan0 name eth0; ip link set eth0 up; ip addr add 10.0.2.15/24 dev eth0; ip route add default via 10.0.2.2; ip route; ping -c 2 10.0.2.2; ip neigh show 10.0.2.2; head -c 300000 /dev/urandom > /tmp/sent; exec 3<>/dev/tcp/10.0.2.100/7; cat /tmp/sent >&3 & head -c 300000 <&3 > /tmp/back; cmp /tmp/sent /tmp/back && echo "all came back"; ip -s link show eth0 | grep -c errors'
