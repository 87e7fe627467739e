# A container with a terminal: what is typed reaches its foreground job, Ctrl-C ends only that, Ctrl-Z stops it.
. /flows/oci/bundle
bundle /tmp/b5 '["sh"]'
sed -i 's/"terminal": false/"terminal": true/' config.json
typed() {
	sleep 4
	for line in "$@"; do sleep 1; printf "$line"; done
}
typed 'tty; ls -l /dev/console | cut -c1-44\n' 'sleep 100\n' '\003' 'echo "after Ctrl-C: $?"\n' 'sleep 200\n' '\032' 'jobs\n' \
	'kill -9 %%1; wait; ps\n' 'exit 7\n' | script -qec 'crun run c5' /dev/null
echo "exit code $?"
crun list
