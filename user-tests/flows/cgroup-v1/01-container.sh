# Controllers that this kernel does not have, and so other numbers of hierarchies.
#: drop ^\d+:(blkio|hugetlb|perf_event|net_cls,net_prio):
#: vary ^\d+:
container mycontainer $R /bin/sh -c 'uname -n; hostname; ps; ip addr; ls /; cat /proc/self/cgroup; ls -l /proc/self/ns'
