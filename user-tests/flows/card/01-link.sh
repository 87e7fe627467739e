# The card of QEMU's user network, before and after it is up.
#: vary gso_max_(size|segs) \d+
#: vary tso_max_(size|segs) \d+
#: vary maxmtu \d+
# Nothing queues here: what does not fit into the card's ring is lost.
#: vary qdisc \w+
#: vary \d+sec
sh -c 'ip -d link show eth0; cat /sys/class/net/eth0/address /sys/class/net/eth0/addr_assign_type /sys/class/net/eth0/operstate; readlink /sys/class/net/eth0; ip link set eth0 up; sleep 2; ip link show eth0; cat /sys/class/net/eth0/carrier /sys/class/net/eth0/operstate; ip addr show eth0; ip link del eth0; ip link set eth0 name wan0; ip link set eth0 down; ip link set eth0 name wan0; ip link show wan0'
