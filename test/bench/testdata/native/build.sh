#!/bin/sh
# Compiles the smallest custom runtime into the file named.
set -eu
out=$1
cd "$(dirname "$0")"
exec "${CC:-cc}" -std=gnu11 -O2 -Wall -Wextra -Werror -ffreestanding -fno-builtin -fno-tree-loop-distribute-patterns -fno-stack-protector \
	-fno-pic -fno-asynchronous-unwind-tables -nostdlib -static -Wl,--build-id=none,-z,noexecstack,-z,max-page-size=4096,-s -o "$out" bootstrap.c
