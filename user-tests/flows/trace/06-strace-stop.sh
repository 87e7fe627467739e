#: vary si_pid=\d+
#: vary pid +\d+
#: vary \d+ attached
#: vary si_[us]time=\d+
sh -c 'kill -STOP $$; kill -TERM $$; exit 5' & p=$!; sleep 0.3; grep State /proc/$p/status; strace -o /tmp/s -e trace=kill,exit_group -p $p & sleep 0.3; grep State /proc/$p/status; kill -CONT $p; wait $p; echo $?; wait; sed 's/[0-9][0-9][0-9]*/N/g' /tmp/s
