# A container of a user who is nobody special, and a map that runc writes itself.
. /flows/oci/bundle
bundle /tmp/b8 '["sh"]'
rm config.json
chmod 755 /tmp/b8
chown -R 1000:1000 /tmp/b8
setpriv --reuid 1000 --regid 1000 --clear-groups sh -c 'runc spec --rootless; sed -i "s/\"terminal\": true/\"terminal\": false/; s|\"sh\"|\"sh\", \"-c\", \"id; hostname; cat /proc/self/uid_map\"|" config.json; HOME=/tmp/b8 XDG_RUNTIME_DIR=/tmp/b8 runc --root /tmp/b8/state run r3'
