#: vary \d+\.\d+ seconds, [\d.]+MB/s
#: vary (Mem|CPU|Load average|Swap|mapped): .*
#: vary ^ *(Mem|Swap): +.*
#: vary up \d+ min.*
#: vary ^(real|user|sys).*
#: vary (RX|TX) (packets|bytes):.*
#: vary ^ *\d+ +\d+ root .*
#: vary ^ +\d+ +root .*
#: vary ^ *\d+ +1 ps$
# There is no I/O scheduler, and devtmpfs has no limits.
#: drop ^none: prio 0
# ash reports the end of a job only from its wait: not if the child's end was taken after `kill` already.
#: drop ^Terminated$
#: vary relatime,(size=\d+k,nr_inodes=\d+,)?mode=755
#: vary ^ *all +[\d. ]+
#: vary ^\d\d/\d\d/\d\d
cp /flows/namespaces/busybox-smoke /rootfs/busybox-smoke.sh
unshare -mpfuin --mount-proc=$R/proc sh -c 'mount -t devtmpfs d /rootfs/dev; mount -t sysfs s /rootfs/sys; mount -t tmpfs t /rootfs/tmp; exec chroot /rootfs /bin/sh /busybox-smoke.sh'
