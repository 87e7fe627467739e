# What is not there needs no mask: this kernel has none of these files.
#: drop /proc/(acpi|kcore|keys|timer_list|bus|fs|irq|sysrq-trigger) type
#: vary size=\d{5,}k,nr_inodes=\d+
. /flows/oci/bundle
bundle /tmp/b1 '["sh", "-c", "id; hostname; ps; mount; ls /dev; cat /proc/self/cgroup; ip addr; cat /proc/self/status | grep -E \"Cap|NoNew|Seccomp\""]'
crun run c1
