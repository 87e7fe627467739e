# Protocols of netlink that are not there; and ss itself, whom only a kernel with netlink_diag lists.
#: drop (selinux|audit|fiblookup|connector):kernel
#: drop tcpdiag:ss/
sh -c 'ip addr; ip link; ip route show table all; ip rule; ip neigh; ip -6 addr; ip -s -s link; ip tuntap list; ip link add dummy0 type dummy; ip link del dummy0; ip link add link lo name mv0 type macvlan 2>&1; ip netns; ip -br a; ss -a; ss -xp | head -3'
