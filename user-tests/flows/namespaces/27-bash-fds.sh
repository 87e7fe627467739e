timeout 10 bash -c 'diff <(echo a) <(echo a); echo $?; cat <(echo x) /dev/fd/0 </dev/null; ls -l /dev/fd; echo y > >(cat); wait; paste <(seq 3) <(seq 4 6)'
