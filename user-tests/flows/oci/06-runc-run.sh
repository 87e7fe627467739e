# The threads of runc have had numbers before. What is not there needs no link.
#: vary ^ *\d+ root
#: drop ^core$
#: drop /proc/(acpi|kcore|keys|timer_list|bus|fs|irq|sysrq-trigger) type
#: vary size=\d{5,}k,nr_inodes=\d+
. /flows/oci/bundle
bundle /tmp/b6 '["sh", "-c", "id; hostname; ps; mount; ls /dev; cat /proc/self/cgroup; ip addr; cat /proc/self/status | grep -E \"Cap|NoNew|Seccomp\""]'
runc run r1
