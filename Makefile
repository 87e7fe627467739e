# zcell: `make` prints this help, `make run` boots a shell, `make test` proves it.
#
# Everything of substance is in scripts/setup (what the machine needs) and in the
# host tool user-tests (build, pack, boot, judge).

SHELL   = /bin/bash

T       =
SMP     =
MEM     =
APPEND  =
ROOTFS  =
KERNEL  =
NET     =

tool    = cargo run --quiet --package user-tests --
options = 'T=$(T)' 'SMP=$(SMP)' 'MEM=$(MEM)' 'APPEND=$(APPEND)' 'ROOTFS=$(ROOTFS)' 'KERNEL=$(KERNEL)' 'NET=$(NET)'
bare    = --package zcell --target x86_64-unknown-none
host    = --workspace --exclude zcell --all-features

.PHONY: help setup run demo test check image qemu-test native-test linux-test bench flows gdb clean generate

help:
	@echo 'make run          boot to a shell     ROOTFS=busybox|debian SMP=2 MEM=512M APPEND=…'
	@echo '                                      NET=user: eth0, connected by QEMU (README.md)'
	@echo '                                      KERNEL=linux: the same on Debian'"'"'s Linux'
	@echo 'make demo         a container from nothing, each command with its output and a verdict'
	@echo 'make test         host tests, C tests on zcell, C tests on Linux    SMP="1 4"'
	@echo 'make check        formatting, lints, documentation, generated files'
	@echo 'make image        the bootable kernel, target/zcell.elf'
	@echo
	@echo 'make qemu-test    C tests on zcell    T=area|area/file|area/file:case SMP=1'
	@echo 'make linux-test   C tests on Linux    the same, in the same QEMU'
	@echo 'make native-test  C tests on this machine, in namespaces of their own'
	@echo 'make flows        command lines of Debian'"'"'s programs on zcell and Linux, compared    T=chapter/name'
	@echo 'make bench        instructions per system call, zcell and Linux    T=calls|memory|processes|cgroups|namespaces|net|crun'
	@echo '                                      KERNEL=zcell|linux: on one of them'
	@echo 'make gdb          boot stopped, gdb attached'
	@echo 'make generate     write the generated parts of the documents'
	@echo 'make clean        remove what was built (not what was downloaded)'

setup:
	@scripts/setup

run demo gdb qemu-test linux-test native-test test bench flows: setup
	@$(tool) $@ $(options)

image: setup
	@$(tool) image

check: setup
	cargo fmt --all --check
	cargo clippy --quiet $(host) --all-targets -- --deny warnings
	cargo clippy --quiet $(bare) -- --deny warnings
	RUSTDOCFLAGS='--deny warnings --allow rustdoc::private_intra_doc_links' cargo doc --quiet $(host) --no-deps --document-private-items
	RUSTDOCFLAGS='--deny warnings --allow rustdoc::private_intra_doc_links' cargo doc --quiet $(bare) --no-deps --document-private-items
	@echo 'lock order of ARCHITECTURE.md as declared'
	@cargo run --quiet --package linux-object --example lock_order | \
		diff -u - <(sed -n '/<!-- lock-order -->/,/<!-- .lock-order -->/{/^|/p}' ARCHITECTURE.md)
	@if [ -e linux-syscall/examples/coverage.rs ]; then \
		echo 'COVERAGE.md as generated'; \
		cargo run --quiet --package linux-syscall --example coverage | diff -u COVERAGE.md -; \
	fi

# Writes what `make check` compares: the lock order in ARCHITECTURE.md, COVERAGE.md.
generate:
	cargo run --quiet --package linux-object --example lock_order > target/lock-order.md
	sed -i -e '/<!-- lock-order -->/,/<!-- .lock-order -->/{/^|/d}' \
		-e '/<!-- lock-order -->/r target/lock-order.md' ARCHITECTURE.md
	cargo run --quiet --package linux-syscall --example coverage > COVERAGE.md

clean:
	rm -rf target/debug target/release target/x86_64-unknown-none target/doc target/tmp \
		target/user-tests target/logs target/zcell.elf target/accel
