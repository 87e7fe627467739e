#: vary 0x[0-9a-f]+
#: vary \bpid +\d+
#: unordered
#: only exited|threads|clone3
strace -f -o /tmp/o python3 -c 'import _thread, time
for n in range(4): _thread.start_new_thread(time.sleep, (0.1,))
time.sleep(0.5); print("threads")'; grep -c exited /tmp/o | sed 's/^/exited /'; grep -c 'clone3(' /tmp/o | sed 's/^/clone3 /'
