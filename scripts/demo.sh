#!/bin/sh
# The README's first command, after the build: start a server with its own data folder, deploy the examples,
# invoke them, and leave the server running.
set -eu
export CGO_ENABLED=0 # a machine without a C compiler, or with half of one, will do
data=${LAMBDAD_DATA:-$PWD/.demo/data}
listen=${LAMBDAD_LISTEN:-127.0.0.1:4566}
log=${data%/*}/lambdad.log
pidfile=${data%/*}/lambdad.pid
mkdir -p "$data"

echo "demo: building the Go example"
go build -trimpath -o .demo/golang/bootstrap ./examples/golang
go build -trimpath -o .demo/ ./examples/demo ./examples/demo/ready

if [ -f "$pidfile" ] && kill -0 "$(cat "$pidfile")" 2>/dev/null; then
	echo "demo: stopping the server of an earlier demo (pid $(cat "$pidfile"))"
	kill "$(cat "$pidfile")"
	while kill -0 "$(cat "$pidfile")" 2>/dev/null; do sleep 0.1; done
fi

echo "demo: starting bin/lambdad serve on $listen (data in $data, log in $log)"
# nearest: the examples shall run whatever Python and Node.js this machine has.
setsid nohup bin/lambdad serve --data "$data" --listen "$listen" --runtimes nearest >"$log" 2>&1 &
echo $! >"$pidfile"

tries=0
until .demo/ready "http://$listen/_lambdad/health" 2>/dev/null; do
	tries=$((tries + 1))
	if [ $tries -ge 30 ] || ! kill -0 "$(cat "$pidfile")" 2>/dev/null; then
		echo "demo: the server did not start; its log:" >&2
		cat "$log" >&2
		exit 1
	fi
	sleep 0.3
done

export AWS_SHARED_CREDENTIALS_FILE="$data/credentials" AWS_ENDPOINT_URL="http://$listen" AWS_REGION=us-east-1
.demo/demo -golang .demo/golang

cat <<TXT

The server is running (pid $(cat "$pidfile"), stop it with: kill $(cat "$pidfile")). To use it, paste:

export AWS_SHARED_CREDENTIALS_FILE=$data/credentials
export AWS_ENDPOINT_URL=http://$listen
export AWS_REGION=us-east-1

then for example: aws lambda list-functions
TXT
