# The number of a process is its own.
#: vary pid=\d+
sh -c 'ip netns add c1; ip link add veth0 type veth peer name veth1; ip link set veth1 netns c1; ip addr add 192.168.31.1/24 dev veth0; ip link set veth0 up; ip -n c1 link set lo up; ip -n c1 link set veth1 up; ip -n c1 addr add 192.168.31.10/24 dev veth1; ip netns exec c1 server 8888 & sleep 2; ss -tln; ip netns exec c1 ss -tlnp; client 192.168.31.10 8888; wait'
