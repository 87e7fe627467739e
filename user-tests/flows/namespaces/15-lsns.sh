#: drop kdevtmpfs
#: vary (time|cgroup|pid|user|uts|ipc|net|mnt) +\d+ +\d+
sh -c 'unshare -n sleep 30 & sleep 0.5; lsns; lsns -t net -o NS,TYPE,NPROCS,PID,COMMAND,NETNSID,NSFS; lsns -p $$; kill $!'
