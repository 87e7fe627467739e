capsh --print
