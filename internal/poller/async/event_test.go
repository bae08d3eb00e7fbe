package async

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/lambdad/lambdad/internal/record"
)

func TestEventRoundTrip(t *testing.T) {
	e := &event{
		Name:      record.Name{ID: record.FunctionID{Account: "000000000000", Region: "us-east-1", Name: "f"}, Qualifier: "live"},
		RequestID: "id", ClientContext: "{}", TenantID: "blue", TraceID: "Root=1", Received: time.Unix(1, 5).UTC(), Attempts: 2, payload: []byte(`{"a":"\u00e9"}`),
	}
	b, err := encode(e)
	if err != nil {
		t.Fatal(err)
	}
	back, err := decode(b)
	if err != nil || back.Name != e.Name || back.RequestID != e.RequestID || back.TenantID != "blue" || !back.Received.Equal(e.Received) || back.Attempts != 2 || !bytes.Equal(back.payload, e.payload) {
		t.Errorf("%+v, %v", back, err)
	}
	e.ClientContext = strings.Repeat("x", headBytesMax)
	if _, err := encode(e); !errors.Is(err, errForm) {
		t.Errorf("a head that is too long: %v", err)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte{0, 0, 0, 2, '{', '}', '1'})
	f.Add([]byte{255, 255, 255, 255})
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := decode(b)
		if err == nil && !bytes.HasSuffix(b, e.payload) {
			t.Error("the payload is not what came")
		}
	})
}
