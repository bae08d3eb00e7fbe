package sqs

import (
	"strings"
	"testing"

	api "github.com/lambdad/lambdad/internal/api/sqs"
	"github.com/lambdad/lambdad/internal/wire"
)

// TestTraceOfTheRequest: a message keeps the trace header of the request that sent it, unless
// it has one of its own.
func TestTraceOfTheRequest(t *testing.T) {
	const header = "Root=1-5e34a614-10bdfb44f07bc535a1aabbcc;Sampled=0;Lineage=a87bd80c:1%7C68fd508a:5"
	h := newHouse(t)
	h.queue("q", nil)
	q, err := h.sqs.queueOf(&wire.Call{Account: testAccount, Region: testRegion}, wire.Ptr(h.queueURL("q")))
	if err != nil {
		t.Fatal(err)
	}
	own := map[string]api.MessageSystemAttributeValue{traceHeader: {DataType: wire.Ptr("String"), StringValue: wire.Ptr("Root=own")}}
	for name, tc := range map[string]struct {
		header string
		system map[string]api.MessageSystemAttributeValue
		want   string
		digest bool
	}{
		"none":     {"", nil, "", false},
		"carried":  {header, nil, header, false},
		"its own":  {header, own, "Root=own", true},
		"no trace": {"x", nil, "", false},
		"too long": {"Root=" + strings.Repeat("x", traceBytesMax), nil, "", false},
		"no text":  {"Root=1\r\n", nil, "", false},
	} {
		out, err := q.outgoing(&wire.Call{Account: testAccount, TraceID: tc.header}, &api.SendMessageBatchRequestEntry{MessageBody: wire.Ptr("x"), MessageSystemAttributes: tc.system})
		if err != nil || out.Trace != tc.want {
			t.Errorf("%s: %q, %v, want %q", name, out.Trace, err, tc.want)
		}
		if _, digest, _ := digests(&out, Sent{}); (digest != nil) != tc.digest {
			t.Errorf("%s: digest of system attributes %v", name, digest)
		}
	}
}
