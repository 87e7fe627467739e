unshare -pf --kill-child --mount-proc sh -c 'echo $$; ps -ef'
