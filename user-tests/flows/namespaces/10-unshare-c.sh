setpriv --reuid 1000 --regid 1000 --clear-groups unshare -U -c id
