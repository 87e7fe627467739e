. /flows/oci/bundle
bundle /tmp/b3 '["sh", "-c", "mount -t tmpfs t /tmp; grep Seccomp /proc/self/status"]' \
	'"seccomp": { "defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86_64"], "syscalls": [
		{ "names": ["keyctl", "add_key", "mount", "umount2"], "action": "SCMP_ACT_ERRNO" },
		{ "names": ["personality"], "action": "SCMP_ACT_ERRNO",
		  "args": [{ "index": 0, "value": 8, "op": "SCMP_CMP_NE" }] }] },'
crun run c3
