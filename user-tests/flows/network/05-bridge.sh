# Groups are flooded: the bridge does not look into multicast.
#: vary mcast_snooping .* nf_call_iptables
# When the bridge next looks at what it has learnt.
#: vary gc_timer +[\d.]+
sh -c 'ip link add br0 type bridge; ip link set br0 up; ip addr add 10.1.0.254/24 dev br0; for i in 1 2; do ip netns add n$i; ip link add v$i type veth peer name eth0 netns n$i; ip link set v$i master br0 up; ip -n n$i addr add 10.1.0.$i/24 dev eth0; ip -n n$i link set eth0 up; ip -n n$i link set lo up; ip -n n$i route add default via 10.1.0.254; done; sleep 2; ip netns exec n1 ping -c1 10.1.0.2; bridge link; ip -d link show br0; ip -j addr show br0; echo 1 > /proc/sys/net/ipv4/ip_forward; brctl show'
