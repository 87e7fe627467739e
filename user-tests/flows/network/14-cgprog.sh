# Controllers that this kernel does not have, and how far a shell got at half a CPU.
#: vary "cpu", ("blkio", )?"memory", ("hugetlb", )?"pids"
#: vary current=Ok\(\d+\)
#: unordered
cgprog
