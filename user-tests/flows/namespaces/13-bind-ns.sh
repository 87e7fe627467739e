#: vary ^\d+ \d+ \d+:\d+ 
sh -c 'unshare -u sleep 60 & sleep 1; p=$!; touch ~/uts; mount --bind /proc/$p/ns/uts ~/uts; nsenter -t $p -u hostname bound; kill $p; sleep 0.3; nsenter --uts=$HOME/uts hostname; hostname; grep uts /proc/self/mountinfo; umount ~/uts; rm ~/uts'
