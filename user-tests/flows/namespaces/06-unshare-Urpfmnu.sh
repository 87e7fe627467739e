unshare -Urpfmnu --mount-proc=$R/proc chroot $R /bin/sh -c 'ps; id; hostname in; hostname; ip addr; cat /proc/self/uid_map; ls -l /proc/self/ns'
