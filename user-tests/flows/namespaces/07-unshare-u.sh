unshare -u sh -c 'hostname x; hostname'
