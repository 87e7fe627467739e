unshare -mpfuin --mount-proc=$R/proc sh -c 'mount -t devtmpfs d /rootfs/dev; mount -t sysfs s /rootfs/sys; mount -t tmpfs t /rootfs/tmp; exec chroot /rootfs /bin/sh /busybox-smoke.sh'
