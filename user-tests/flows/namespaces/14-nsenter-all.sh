#: vary \d+ \d\d:\d\d \?
sh -c 'unshare -Urpfmnui --mount-proc sleep 60 & sleep 1; p=$(pgrep -P $!); nsenter -t $p -a --preserve-credentials sh -c "id -u; ps -ef; ip -br link; hostname"; nsenter -t $p -U -m -p -n -u -i id; kill -9 $p'
