#!/bin/sh
# Runs every fuzz target of the project, one after another, for the time given.
set -eu
time=${1:-30s}
grep -rl --include='*_test.go' '^func Fuzz' internal cmd test 2>/dev/null | sort | while read -r file; do
	dir=$(dirname "$file")
	sed -n 's/^func \(Fuzz[A-Za-z0-9_]*\).*/\1/p' "$file" | while read -r target; do
		echo "fuzz: ./$dir $target for $time"
		# Making interesting inputs smaller takes the time away from finding them.
		go test "./$dir" -run '^$' -fuzz "^$target\$" -fuzztime "$time" -fuzzminimizetime 1x
	done
done
