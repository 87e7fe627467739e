chroot --userspec=1000:1000 --groups=1000,2000 $R /bin/sh -c id
