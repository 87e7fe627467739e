#: vary 0x[0-9a-f]{8}
unshare -i sh -c 'ipcmk -Q; ipcmk -M 4096; ipcmk -S 2; ipcs; ipcrm -a; lsipc | head -3'
