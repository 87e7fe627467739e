unshare -mpfu --mount-proc=/tmp/initr/proc chroot /tmp/initr /bin/init
