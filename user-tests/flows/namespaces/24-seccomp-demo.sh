#: vary \d+ Bad
seccomp_demo
