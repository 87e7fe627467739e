cp -a /rootfs /tmp/initr
ln -sf /bin/busybox /tmp/initr/bin/init
mkdir -p /tmp/initr/etc
cat > /tmp/initr/etc/inittab <<'END'
::sysinit:/bin/echo sysinit ran
::once:/bin/sh -c "echo once; ps; kill -USR2 1"
::shutdown:/bin/echo shutting down
END
unshare -mpfu --mount-proc=/tmp/initr/proc chroot /tmp/initr /bin/init
