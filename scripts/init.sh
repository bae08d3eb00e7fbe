#!/bin/sh
# Compiles process 1 of sandboxes (cmd/lambdad-init) into the file named. It needs a C compiler and nothing
# else: no C library, no headers. CC chooses the compiler, e.g. a cross compiler.
set -eu
out=$1
cd "$(dirname "$0")/../cmd/lambdad-init"
command -v "${CC:=cc}" >/dev/null 2>&1 || { echo "init.sh: process 1 of sandboxes is C, and there is no compiler ($CC): install gcc (scripts/setup.sh does)" >&2; exit 1; }
exec "$CC" -std=gnu11 -O2 -Wall -Wextra -Werror -ffreestanding -fno-builtin -fno-tree-loop-distribute-patterns -fno-stack-protector \
	-fno-pic -fno-asynchronous-unwind-tables -nostdlib -static -Wl,--build-id=none,-z,noexecstack,-z,max-page-size=4096,-s -o "$out" ./*.c
