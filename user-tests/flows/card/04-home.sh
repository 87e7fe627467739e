# The card moves into a namespace, and comes home when that is gone.
#: vary (max|min)mtu \d+
bash -c 'ip link set eth0 down; ip netns add c1; ip link set eth0 netns c1; ls /sys/class/net; ip -n c1 link set eth0 name inside; ip -n c1 addr add 10.0.2.30/24 dev inside; ip -n c1 link set inside up; ip -n c1 route add default via 10.0.2.2; ip netns exec c1 ping -c 1 10.0.2.2 | grep received; ip link add inside type dummy; ip netns delete c1; for i in 1 2 3 4 5 6 7 8 9; do ip link show | grep -q 52:54 && break; sleep 0.5; done; ip -o link show | grep -o ": [a-z0-9]*: <.*52:54.*"'
