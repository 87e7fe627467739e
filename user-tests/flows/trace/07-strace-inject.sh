#: vary 0x[0-9a-f]+
#: drop line \d
strace -e trace=getuid,geteuid -e inject=geteuid:retval=42 id -u; strace -e trace=openat -e inject=openat:error=EACCES:when=3 head -c 3 /etc/hostname; strace -e trace=openat -e inject=openat:signal=USR1:when=2 head -c 3 /etc/hostname; echo $?; strace -e trace=write -e inject=write:delay_enter=1000 echo slow
