package wire

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/lambdad/lambdad/internal/wire/sigv4"
)

// decoder stands for an Authenticator that undoes the framing.
type decoder struct{ payload int }

func (d decoder) Authenticate(*http.Request, []byte, string, Protocol) (Identity, error) {
	return Identity{Payload: make([]byte, d.payload)}, nil
}

// The limit is of what a body carries, not of the chunks that it came in.
func TestLimitOfChunkedBodies(t *testing.T) {
	op := &Operation{Name: "O", BodyMax: 1 << 20}
	for _, tc := range []struct {
		sent, payload int
		kind          string
		want          int
	}{
		{1 << 20, 0, "", 0},
		{1<<20 + 1, 0, "", http.StatusRequestEntityTooLarge},
		{1<<20 + 1<<14, 1 << 20, sigv4.StreamingPayload, 0},
		{1<<20 + 1<<14, 1<<20 + 1, sigv4.StreamingUnsignedTrailer, http.StatusRequestEntityTooLarge},
		{1<<20 + 1<<17, 1, sigv4.StreamingPayload, http.StatusRequestEntityTooLarge},
	} {
		r, _ := http.NewRequest(http.MethodPost, "http://h/", strings.NewReader(strings.Repeat("x", tc.sent)))
		r.Header.Set("X-Amz-Content-Sha256", tc.kind)
		x := &exchange{server: &Server{cfg: Config{Authenticator: decoder{tc.payload}}}, w: &rawAnswer{header: http.Header{}}, r: r,
			endpoint: &endpoint{Service: &Service{}}, op: op, codec: restJSON{}}
		err := x.readBody(x.endpoint, op)
		if err == nil {
			_, err = x.authenticate()
		}
		status := 0
		var f Fault
		if errors.As(err, &f) {
			status = f.FaultStatus()
		}
		if status != tc.want {
			t.Errorf("%+v: %v", tc, err)
		}
	}
}
