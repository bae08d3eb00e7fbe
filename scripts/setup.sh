#!/bin/sh
# Installs what `make demo` and `make test` need and this machine lacks, from the machine's own package
# manager, and says so. It changes nothing else. Argument: build (a C compiler), demo (also interpreters), test
# (also more of them, and clients) or bench (also peers).
set -eu
want=${1:-demo}

say() { printf 'setup: %s\n' "$*"; }

command -v go >/dev/null 2>&1 || { say "Go is missing: install Go 1.26 or newer and put it on PATH"; exit 1; }

if ! command -v apt-get >/dev/null 2>&1; then
	say "no apt-get here: install python3 and nodejs yourself; what is missing is skipped"
	exit 0
fi

missing=
need() { # need COMMAND PACKAGE
	command -v "$1" >/dev/null 2>&1 || missing="$missing $2"
}
# Process 1 of sandboxes is C.
need cc gcc
if [ "$want" != build ]; then
	need python3 python3
	need node nodejs
fi
# Disks for /tmp; only root makes them.
[ "$want" = build ] || [ "$(id -u)" != 0 ] || need mke2fs e2fsprogs
if [ "$want" = test ] || [ "$want" = bench ]; then
	need ruby ruby
	need javac default-jdk-headless
	# Python's client for AWS: the one that this machine's python3 already has, or Debian's.
	python3 -c 'import boto3' >/dev/null 2>&1 || missing="$missing python3-boto3"
	# `aws logs tail` exists from version 2 on.
	[ -x /usr/bin/aws ] || missing="$missing awscli"
fi
if [ "$want" = test ] || [ "$want" = bench ]; then
	# Virtual machines, with or without virtualisation.
	need qemu-system-x86_64 qemu-system-x86
fi
if [ "$want" = bench ]; then
	need crun crun
	need runc runc
fi
[ -n "$missing" ] || exit 0

if [ "$(id -u)" != 0 ]; then
	say "missing:$missing. Run as root, or install them yourself; what is missing is skipped"
	exit 0
fi
say "installing with apt-get:$missing"
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
# One by one: a package that this release does not have must not cost the others.
for package in $missing; do
	apt-get install -y -qq --no-install-recommends "$package" >/dev/null || say "could not install $package; what needs it is skipped"
done
