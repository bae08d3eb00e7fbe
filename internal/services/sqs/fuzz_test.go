package sqs

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/lambdad/lambdad/internal/services/sqs/flow"
)

// FuzzOutside reads what callers send as text of its own grammar: nothing of it may panic, and what
// is read means the same when it is written again.
func FuzzOutside(f *testing.F) {
	key := receiptKey(bytes.Repeat([]byte{7}, 32))
	for _, seed := range []string{
		"", "http://h:1/111111111111/q", "/111111111111/q.fifo", "arn:aws:sqs:us-east-1:111111111111:q", key.handle("id", flow.Receipt{Sequence: 5, Receives: 1}),
		moveHandle(&moveRecord{ID: "i", Source: "arn:aws:sqs:us-east-1:111111111111:q"}), `{"deadLetterTargetArn":"a","maxReceiveCount":"3"}`,
		`{"redrivePermission":"byQueue","sourceQueueArns":["a"]}`, `{"Version":"2012-10-17","Statement":[{"Sid":"a"}]}`, "%zz", "//",
	} {
		f.Add(seed)
	}
	q := newQueue(Name{testAccount, testRegion, "q"}, &queueRecord{ID: "id"})
	f.Fuzz(func(t *testing.T, s string) {
		call := callOf(testAccount)
		if name, ok := parseURL(s, call); ok {
			if again, ok := parseURL(name.url("http://h"), call); strings.ContainsAny(name.Queue, "%?#") || ok && again == name {
				// The same queue.
			} else {
				t.Errorf("%q is %v, and then %v", s, name, again)
			}
		}
		if name, ok := ParseARN(s); ok && (!validName(name.Queue) || !name.Account.Valid()) {
			t.Errorf("%q is %v", s, name)
		}
		if r, ok := key.open("id", s); ok {
			if key.handle("id", r) != s {
				t.Errorf("%q is a handle, and another one than %v's", s, r)
			}
			if _, ok := key.open("other", s); ok {
				t.Errorf("%q is a handle of two queues", s)
			}
		}
		readMoveHandle(s)
		if r, err := parseRedrive(s); err == nil && (r.MaxReceives < 1 || r.MaxReceives > maxReceivesTop) {
			t.Errorf("%q is %v", s, r)
		}
		_ = checkRedriveAllow(s)
		if p, err := readPolicy(q, s); err == nil {
			p.labelled("a")
			if _, err := json.Marshal(p); err != nil {
				t.Errorf("%q cannot be written again: %v", s, err)
			}
		}
		_ = checkAttributeName(s)
		validText(s)
		validToken(s)
		sameDocument(s, s)
	})
}

// FuzzContent writes a message as it rests and reads it again, whole and damaged.
func FuzzContent(f *testing.F) {
	f.Add("body", "name", []byte{1}, 3)
	f.Add(strings.Repeat("b", partBytes), "", []byte(nil), 0)
	h := &Service{}
	if err := h.useSecret(bytes.Repeat([]byte{9}, secretBytes)); err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, body, name string, value []byte, at int) {
		c := &content{MessageID: "m", Body: body, Attributes: map[string]Attribute{strings.ToValidUTF8(name, ""): {Type: "Binary", Binary: value}}}
		for _, sealed := range []bool{false, true} {
			parts, err := c.encode(h.vault, sealing{managed: sealed}, "id")
			if err != nil {
				t.Fatal(err)
			}
			all := bytes.Join(parts, nil)
			got, err := decodeContent(all, h.vault, "id")
			if err != nil || got.Body != body || !bytes.Equal(got.Attributes[strings.ToValidUTF8(name, "")].Binary, value) {
				t.Fatalf("%v, %v", got, err)
			}
			if len(all) == 0 {
				continue
			}
			damaged := bytes.Clone(all)
			damaged[(at%len(all)+len(all))%len(all)] ^= 1
			if _, err := decodeContent(damaged, h.vault, "id"); sealed && err == nil {
				t.Error("a damaged message decrypts")
			}
			_, _ = decodeContent(all[:len(all)/2], h.vault, "id")
		}
	})
}

func FuzzPlace(f *testing.F) {
	f.Add(encodePlace(flow.Draft{Sent: 1, Due: 2, Parts: 3, Group: "g"}))
	f.Fuzz(func(t *testing.T, b []byte) {
		if d, err := decodePlace(b); err == nil {
			if again, err := decodePlace(encodePlace(d)); err != nil || again != d {
				t.Errorf("%v is %v, %v", d, again, err)
			}
		}
		_, _ = decodeDelivery(b)
	})
}
