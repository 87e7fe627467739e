unshare -m --propagation unchanged sh -c '
mkdir -p /tmp/mm/a /tmp/mm/b /tmp/mm/lo /tmp/mm/up /tmp/mm/wk /tmp/mm/mg; mount -t tmpfs -o size=2m,mode=0700,nosuid,nodev tm /tmp/mm/a; mount --make-rshared /tmp/mm/a; mount --bind /tmp/mm/a /tmp/mm/b
mount -o remount,bind,ro /tmp/mm/b; touch /tmp/mm/b/x; mount -t tmpfs sub /tmp/mm/a; mount --make-slave /tmp/mm/b; mount --make-unbindable /tmp/mm/b; findmnt -o TARGET,PROPAGATION,FSTYPE,OPTIONS -R /tmp/mm/a
mount -t overlay ov -o lowerdir=/etc,upperdir=/tmp/mm/up,workdir=/tmp/mm/wk /tmp/mm/mg; echo hi > /tmp/mm/mg/hostname; cat /tmp/mm/up/hostname; rm /tmp/mm/mg/passwd; ls -la /tmp/mm/up; umount /tmp/mm/mg
umount -R /tmp/mm/b; umount -l /tmp/mm/a; mount | wc -l; mount --move /dev/shm /mnt; mountpoint /mnt; cat /proc/self/mounts | wc -l'
