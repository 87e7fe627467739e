#: vary 0x[0-9a-f]+
#: drop SIGCHLD
#: unordered
cd /tmp; strace -ff -o s --seccomp-bpf -e trace=openat,exit_group sh -c 'head -c 3 /etc/hostname | wc -c'; cat s.*; strace --seccomp-bpf -f -e trace=%creds id
