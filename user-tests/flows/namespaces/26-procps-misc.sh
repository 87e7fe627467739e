# There is no /proc/slabinfo.
#: drop Active / Total (Objects|Slabs|Caches)
#: numbers
sh -c 'free -m; vmstat; uptime; pgrep -a init; pidof init; w; tload -V; slabtop -o 2>/dev/null| head -3; pmap 1 | tail -1; pwdx 1; sysctl -a 2>/dev/null | wc -l; kill -l | head -1'
