cgprog
