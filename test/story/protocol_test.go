package story

import (
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"

	"github.com/lambdad/lambdad/test/house"
)

// bootstrapSteps are shell functions for a runtime that speaks the Runtime API by hand: open
// connects, next takes an invocation (ID, BODY), post WHAT BODY [ID] answers it.
const bootstrapSteps = `#!/bin/bash
open() { exec 3<>/dev/tcp/127.0.0.1/9001; }
head() { N=0; while IFS= read -r L <&3; do L=${L%$'\r'}; [ -z "$L" ] && break; case "${L,,}" in lambda-runtime-aws-request-id:*) ID=${L#*: };; content-length:*) N=${L#*: };; http*) STATUS=${L#* }; esac; done; BODY=; [ $N -gt 0 ] && IFS= read -r -N $N BODY <&3; }
next() { open; printf 'GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nHost: x\r\n\r\n' >&3; head; }
post() { REQUEST=$(printf 'POST /2018-06-01/runtime/invocation/%s/%s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s' "${3:-$ID}" "$1" ${#2} "$2"; echo .); printf %s "${REQUEST%.}" >&3; head; echo "$1 $STATUS"; }
half() { printf 'POST /2018-06-01/runtime/invocation/%s/response HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhalf' $ID >&3; }
`

// TestRuntimesThatMisbehave runs bootstraps that break the Runtime API's rules: an invoke ends
// as AWS ends it, and the next one is served.
func TestRuntimesThatMisbehave(t *testing.T) {
	t.Parallel()
	h := house.Start(t)
	c := h.Client(t)
	const timedOut, exited = "Sandbox.Timedout", "Runtime.ExitError"
	for name, tc := range map[string]struct {
		script  string
		payload string // of every answer, or
		failure string // its errorType
		text    string // in errorMessage
		log     string // in the tail of the first
	}{
		"answers":                {script: "while :; do next; post response \"$BODY\"; done", payload: `{"n":1}`},
		"no JSON":                {script: "while :; do next; post response 'no { json'; done", payload: "no { json"},
		"nothing":                {script: "while :; do next; post response ''; done", payload: ""},
		"two answers":            {script: "while :; do next; post response 1; post response 2; done", payload: "1"},
		"a foreign request id":   {script: "while :; do next; post response 1 00000000-0000-0000-0000-000000000000; post response 2; done", payload: "2", log: "response 400 Bad Request\n"},
		"garbage":                {script: "while :; do next; exec 4<>/dev/tcp/127.0.0.1/9001; printf '\\x00garbage\\r\\n\\r\\n' >&4; cat <&4; exec 4>&-; post response 3; done", payload: "3", log: "HTTP/1.1 400 Bad Request\r\n"},
		"many connections":       {script: "while :; do next; for i in {1..100}; do exec {FD}<>/dev/tcp/127.0.0.1/9001; exec {FD}>&-; done; post response 4; done", payload: "4"},
		"ends after its answer":  {script: "next; post response 5", payload: "5"},
		"never asks again":       {script: "next; post response 6; sleep 60", payload: "6"},
		"an error without words": {script: "while :; do next; post error ''; done", failure: "-"},
		"closes":                 {script: "next; exec 3>&-; sleep 60", failure: timedOut, text: "Task timed out after 1.00 seconds"},
		"half an answer":         {script: "next; half; sleep 60", failure: timedOut, text: "Task timed out after 1.00 seconds"},
		"half, then ends":        {script: "next; half; exit 4", failure: exited, text: "exit status 4"},
		"ends at once":           {script: "exit 5", failure: exited, text: "exit status 5"},
		"leaves a child":         {script: "sleep 60 & next; exit 6", failure: exited, text: "exit status 6"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			function := c.Function(lambda.CreateFunctionInput{
				FunctionName: aws.String("api-" + strings.Map(func(r rune) rune {
					if r == ' ' || r == ',' {
						return '-'
					}
					return r
				}, name)), Runtime: types.RuntimeProvidedal2023, Handler: aws.String("x"), Timeout: aws.Int32(1), MemorySize: aws.Int32(512),
			}, map[string]string{"bootstrap*": bootstrapSteps + tc.script + "\n"})
			for i := range 2 {
				answer := c.Invoke(function, `{"n":1}`)
				switch {
				case tc.failure == "":
					if answer.FunctionError != "" || answer.Payload != tc.payload {
						t.Errorf("%d: %q %s, want %s", i, answer.FunctionError, answer.Payload, tc.payload)
					}
				case answer.FunctionError != "Unhandled":
					t.Errorf("%d: %q %s", i, answer.FunctionError, answer.Payload)
				case tc.failure != "-":
					if got := answer.JSON(t); got["errorType"] != tc.failure || !strings.Contains(got["errorMessage"].(string), tc.text) {
						t.Errorf("%d: %v", i, got)
					}
				}
				if i == 0 && !strings.Contains(answer.Log, tc.log) || !strings.Contains(answer.Log, "REPORT RequestId: ") {
					t.Errorf("%d: log %q", i, answer.Log)
				}
			}
		})
	}
}
