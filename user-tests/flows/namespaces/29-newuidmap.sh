# The number of a process.
#: vary \[\d+\]
grep -q '^u:' /etc/passwd || echo 'u:x:1000:1000::/tmp:/bin/sh' >> /etc/passwd
grep -q '^u:' /etc/group || echo 'u:x:1000:' >> /etc/group
echo 'u:100000:65536' > /etc/subuid
echo 'u:100000:65536' > /etc/subgid
as_user() { setpriv --reuid 1000 --regid 1000 --clear-groups "$@"; }
ls -l /usr/bin/newuidmap | cut -d' ' -f1,3,4
setpriv --reuid 1000 --regid 1000 --clear-groups unshare -U sh -c 'until grep -q . /proc/self/uid_map; do sleep 0.1; done; sleep 0.5; cat /proc/self/uid_map /proc/self/gid_map /proc/self/setgroups; id -u; id -g; grep ^CapEff /proc/self/status' &
p=$!
until [ "$(readlink /proc/$p/ns/user)" != "$(readlink /proc/self/ns/user)" ]; do sleep 0.1; done
as_user newuidmap $p 0 0 1; echo "somebody else's: $?"
as_user newuidmap $p 0 1000 1 1 165536 1; echo "beyond the own: $?"
as_user newgidmap $p 0 1000 1 1 100000 65535; echo "groups: $?"
as_user newuidmap $p 0 1000 1 1 100000 65535; echo "users: $?"
as_user newuidmap $p 0 1000 1 2>&1 | sed 's/'$p'/[1]/'; echo "twice: $?"
wait $p; echo "rc $?"
as_user unshare --map-auto --map-root-user sh -c 'cat /proc/self/uid_map; cd /tmp; touch f; chown 5:7 f; stat -c "%u %g" f'
stat -c '%u %g' /tmp/f
