sh -c 'touch /root/uts /root/netf; unshare --uts=/root/uts hostname persisted; nsenter --uts=/root/uts hostname; findmnt /root/uts; umount /root/uts; rm /root/uts'
