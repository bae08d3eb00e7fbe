package async

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/lambdad/lambdad/internal/aws"
	"github.com/lambdad/lambdad/internal/record"
)

// headBytesMax bounds everything of an event but its payload.
const headBytesMax = 32 << 10

// event is an asynchronous invoke at rest. Its form only ever gains members.
type event struct {
	Name          record.Name   `json:"n"`
	RequestID     aws.RequestID `json:"id"`
	ClientContext string        `json:"cc,omitempty"`
	TenantID      string        `json:"ten,omitempty"`
	TraceID       string        `json:"tr,omitempty"`
	Received      time.Time     `json:"at"`
	// Attempts are how often the function has run for it.
	Attempts int `json:"att,omitempty"`
	payload  []byte
}

var errForm = errors.New("async: unreadable event")

// encode gives the length of the head, the head and the payload as it came.
func encode(e *event) ([]byte, error) {
	head, err := json.Marshal(e)
	if err != nil {
		return nil, fmt.Errorf("encode an event: %w", err)
	}
	if len(head) > headBytesMax {
		return nil, fmt.Errorf("an event with a head of %d bytes: %w", len(head), errForm)
	}
	out := make([]byte, 0, 4+len(head)+len(e.payload))
	out = binary.BigEndian.AppendUint32(out, uint32(len(head)))
	return append(append(out, head...), e.payload...), nil
}

func decode(b []byte) (*event, error) {
	if len(b) < 4 {
		return nil, errForm
	}
	n := int(binary.BigEndian.Uint32(b))
	if n > headBytesMax || 4+n > len(b) {
		return nil, errForm
	}
	var e event
	if err := json.Unmarshal(b[4:4+n], &e); err != nil {
		return nil, fmt.Errorf("%w: %w", errForm, err)
	}
	e.payload = bytes.Clone(b[4+n:])
	return &e, nil
}
