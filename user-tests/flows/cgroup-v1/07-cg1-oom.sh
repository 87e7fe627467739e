#: vary ^\d\d?$
sh -c 'cd /sys/fs/cgroup/memory; mkdir t; echo 16M > t/memory.limit_in_bytes; sh -c "echo \$\$ > t/tasks; exec memhog 64"; echo st $?; cat t/memory.failcnt t/memory.max_usage_in_bytes; rmdir t'
