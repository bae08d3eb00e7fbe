#!/bin/sh
# Builds gVisor's runsc from the version that tools/runsc pins, and prints its path: a file in the user's cache,
# so that it is built once. It takes about two minutes and 90 MB. Argument: a directory that gets a copy.
set -eu
here=$(cd "$(dirname "$0")/.." && pwd)
go=${GO:-go}
# What it is made of names it.
name=runsc-$(cat "$here/tools/runsc/go.mod" "$here/tools/runsc/go.sum" | cksum | tr -d ' ')-$("$go" env GOVERSION)-$("$go" env GOARCH)
cache=${XDG_CACHE_HOME:-${HOME:-/tmp}/.cache}/lambdad
if [ ! -x "$cache/$name" ]; then
	mkdir -p "$cache"
	echo "runsc: building gVisor, once" >&2
	half=$cache/$name.$$
	trap 'rm -f "$half"' EXIT
	# -mod=mod: the module itself imports nothing, so its go.mod lists none of what runsc needs.
	(cd "$here/tools/runsc" && CGO_ENABLED=0 "$go" build -mod=mod -trimpath -ldflags='-s -w' -o "$half" gvisor.dev/gvisor/runsc) >&2
	mv "$half" "$cache/$name"
fi
if [ $# -gt 0 ]; then
	mkdir -p "$1"
	cp "$cache/$name" "$1/runsc.$$"
	mv "$1/runsc.$$" "$1/runsc"
fi
echo "$cache/$name"
