# A job's end is told at this prompt or at the next.
#: unordered
cat > /tmp/in.txt <<'END'
echo interactive $0
tty
stty -a
sleep 100 &
jobs
kill %1
sleep 0.2
ls /
exit
END
sh -c 'cat /tmp/in.txt | while read l; do sleep 0.3; echo "$l"; done | script -qec "/rootfs/bin/busybox ash" /dev/null'
