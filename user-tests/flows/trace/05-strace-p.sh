#: vary si_pid=\d+
#: vary si_[us]time=\d+( /\* [0-9.]+ s \*/)?
#: vary [Pp]rocess \d+
#: vary pid +\d+
#: vary 0x[0-9a-f]+
#: vary TracerPid:.*
#: vary tv_n?sec=\d+
sh -c 'sleep 1; echo one; sleep 1' & sleep 0.3; strace -e trace=write,exit_group -p $!; sleep 2 & sleep 0.3; timeout -s INT 0.5 strace -p $!; grep -E 'TracerPid|State' /proc/$!/status; kill $!; wait $!; echo $?
