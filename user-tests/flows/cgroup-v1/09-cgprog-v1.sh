# Controllers that this kernel does not have; who of two processes is first.
#: vary ^subsystems: .*
#: vary current=Ok\(\d\)
#: unordered
cgprog
