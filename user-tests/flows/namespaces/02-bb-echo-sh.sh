$BB sh -c 'echo hi; exit 3'
