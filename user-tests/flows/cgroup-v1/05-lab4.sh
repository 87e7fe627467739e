#: vary Killed.*
mkdir -p /tmp/lab
cp -a /rootfs /tmp/lab/root

