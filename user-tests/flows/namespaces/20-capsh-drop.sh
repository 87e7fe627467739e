capsh --drop=cap_net_raw,cap_sys_admin --inh=cap_chown --addamb=cap_chown --user=nobody -- -c 'capsh --print | head -3; grep -E "Cap|NoNewPrivs|Seccomp" /proc/self/status'
