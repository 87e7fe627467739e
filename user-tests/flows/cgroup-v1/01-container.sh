container mycontainer $R /bin/sh -c 'uname -n; hostname; ps; ip addr; ls /; cat /proc/self/cgroup; ls -l /proc/self/ns'
