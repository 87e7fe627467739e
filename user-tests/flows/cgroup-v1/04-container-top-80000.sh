# the same with QUOTA=80000 (Linux under emulation with two busy CPUs shows 72; the target is 80)
