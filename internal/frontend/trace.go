package frontend

import (
	"crypto/rand"
	"encoding/hex"
	"strconv"
	"strings"
	"time"
)

// traceHeader is the X-Amzn-Trace-Id that an invoke carries: the caller's, or one made
// here. A function with active tracing is sampled unless the caller decided
// otherwise. Source: AWS X-Ray developer guide, "Tracing header".
func traceHeader(callers, mode string, now time.Time) string {
	sampled := "0"
	if mode == "Active" {
		sampled = "1"
	}
	if !strings.Contains(callers, "Root=") {
		return newRoot(now) + ";Parent=" + randomHex(8) + ";Sampled=" + sampled
	}
	if !validTrace(callers) {
		return newRoot(now) + ";Parent=" + randomHex(8) + ";Sampled=" + sampled
	}
	if strings.Contains(callers, "Sampled=") {
		return callers
	}
	if !strings.Contains(callers, "Parent=") {
		callers += ";Parent=" + randomHex(8)
	}
	return callers + ";Sampled=" + sampled
}

// NewTrace is the X-Amzn-Trace-Id of a request that came without one.
func NewTrace(now time.Time) string { return newRoot(now) }

// traceBytesMax bounds what a caller can have carried into the function.
const traceBytesMax = 1024

// validTrace keeps a caller from writing into other headers or lines of the log.
func validTrace(s string) bool {
	if len(s) > traceBytesMax {
		return false
	}
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

func newRoot(now time.Time) string {
	if now.IsZero() {
		now = time.Now()
	}
	seconds := strconv.FormatInt(now.Unix(), 16)
	return "Root=1-" + strings.Repeat("0", max(0, 8-len(seconds))) + seconds + "-" + randomHex(12)
}

func randomHex(n int) string {
	var b [12]byte
	rand.Read(b[:n]) // never fails: crypto/rand aborts the process instead
	return hex.EncodeToString(b[:n])
}
