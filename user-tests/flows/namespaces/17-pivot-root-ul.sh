unshare -mpf sh -c 'mount --bind /rootfs /rootfs; cd /rootfs; mkdir -p old; pivot_root . old; mount -t proc proc /proc; umount -l /old; exec /bin/sh -c "ls /; mount; ps"'
