#: vary pid +\d+
#: vary 0x[0-9a-f]+
#: vary si_[us]time=\d+( /\* [0-9.]+ s \*/)?
#: vary PTRACE_SEIZE, \d+
setpriv --reuid 1000 --regid 1000 --clear-groups strace -e trace=geteuid id -u; sleep 5 & setpriv --reuid 1000 --regid 1000 --clear-groups strace -p $!; echo $?; cp /bin/id /tmp/rootid; chmod 4755 /tmp/rootid; setpriv --reuid 1000 --regid 1000 --clear-groups /tmp/rootid -u; setpriv --reuid 1000 --regid 1000 --clear-groups strace -o /dev/null /tmp/rootid -u; strace -o /dev/null setpriv --reuid 1000 --regid 1000 --clear-groups /tmp/rootid -u; unshare -Urpf --mount-proc strace -f -e trace=getpid,execve sh -c 'echo $$; grep TracerPid /proc/self/status'
