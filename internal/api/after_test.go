package api_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/lambdad/lambdad/internal/api/lambda"
	"github.com/lambdad/lambdad/internal/wire"
)

// TestAfter does what a handler left for later only when the client has its answer, and also
// where there is none.
func TestAfter(t *testing.T) {
	for name, tc := range map[string]struct {
		fail   error
		panics bool
		status int
	}{
		"answered": {nil, false, http.StatusOK},
		"fault":    {lambda.NewServiceException("no"), false, http.StatusInternalServerError},
		"error":    {errors.New("not for clients"), false, http.StatusInternalServerError},
		"panic":    {nil, true, http.StatusInternalServerError},
	} {
		t.Run(name, func(t *testing.T) {
			read, did := make(chan struct{}), make(chan struct{})
			s, err := wire.NewServer(wire.Config{
				Services: []*wire.Service{lambda.NewService(lambda.Handlers{
					Invoke: func(_ context.Context, call *wire.Call, _ *lambda.InvocationRequest) (*lambda.InvocationResponse, error) {
						call.After(func() {
							select {
							case <-read:
							case <-time.After(10 * time.Second):
								t.Error("the client has no answer yet")
							}
							close(did)
						})
						if tc.panics {
							panic("handler")
						}
						return &lambda.InvocationResponse{StatusCode: wire.Ptr(int32(200)), Payload: []byte(`"hello"`)}, tc.fail
					},
				})},
				Authenticator: anybody{},
			})
			if err != nil {
				t.Fatal(err)
			}
			server := httptest.NewServer(s)
			defer server.Close()
			res, err := http.Post(server.URL+"/2015-03-31/functions/f/invocations", "", strings.NewReader("{}"))
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close()
			body, err := io.ReadAll(res.Body)
			if err != nil || res.StatusCode != tc.status || res.ContentLength != int64(len(body)) {
				t.Errorf("%d %q, length %d, %v", res.StatusCode, body, res.ContentLength, err)
			}
			close(read)
			<-did
		})
	}
}
