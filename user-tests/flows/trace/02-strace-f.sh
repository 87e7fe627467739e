#: vary 0x[0-9a-f]+
#: vary \d+ vars
#: vary (wait4\(-?|clone\(.*|fork\(\) +)\d+
#: vary = \d+
#: drop SIGCHLD
#: unordered
cd /tmp; strace -ff -o s -e trace=process,pipe2,dup2 sh -c 'ls /rootfs | wc'; strace -ff -o b -e trace=execve,exit_group bash -c 'true | (exec cat) | cat'; for f in s.* b.*; do echo "$(wc -l <$f) lines"; cat $f; done; strace -f -o f sh -c 'ls /rootfs | wc'; grep -c +++ f
