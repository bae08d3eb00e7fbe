package inside

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// MessageMax bounds one message: arguments and environment, which Linux bounds
// to a fraction of this, and paths.
const MessageMax = 4 << 20

// Request is what the driver asks of process 1; one field is set.
type Request struct {
	Start  *Start `json:",omitempty"`
	Signal int    `json:",omitempty"` // for the program
}

// Start furnishes the sandbox and starts the program. There may be two: one that
// starts a program before it has an owner, and one, without Argv, that furnishes.
type Start struct {
	Binds []Bind
	// Last takes the shelf away: nothing comes after.
	Last bool
	Argv []string
	Env  []string
	Dir  string
}

// Bind is a file or directory below Shelf that is to appear at Target.
type Bind struct {
	Name     string
	Target   string
	Writable bool `json:",omitempty"`
}

// Reply is what process 1 tells the driver; one field is set.
type Reply struct {
	Parked  bool     `json:",omitempty"`
	Started bool     `json:",omitempty"`
	Refused *Refusal `json:",omitempty"` // the program cannot be executed
	Failed  *Refusal `json:",omitempty"` // something else went wrong
	Exited  *Exit    `json:",omitempty"`
}

// Refusal is a step that the kernel refused.
type Refusal struct {
	Text  string
	Errno int
}

// Exit is how the program ended.
type Exit struct {
	Code   int
	Signal int
}

var errTooLong = errors.New("inside: message too long")

// Write sends a message, with its length before it.
func Write(w io.Writer, message any) error {
	content, err := json.Marshal(message)
	if err != nil {
		return fmt.Errorf("inside: %w", err)
	}
	if len(content) > MessageMax {
		return fmt.Errorf("%w: %d bytes", errTooLong, len(content))
	}
	frame := binary.BigEndian.AppendUint32(make([]byte, 0, 4+len(content)), uint32(len(content)))
	if _, err := w.Write(append(frame, content...)); err != nil {
		return fmt.Errorf("inside: %w", err)
	}
	return nil
}

// Read receives a message into what into points to.
func Read(r io.Reader, into any) error {
	var length [4]byte
	if _, err := io.ReadFull(r, length[:]); err != nil {
		return fmt.Errorf("inside: %w", err)
	}
	n := binary.BigEndian.Uint32(length[:])
	if n > MessageMax {
		return fmt.Errorf("%w: %d bytes", errTooLong, n)
	}
	content := make([]byte, n)
	if _, err := io.ReadFull(r, content); err != nil {
		return fmt.Errorf("inside: %w", err)
	}
	if err := json.Unmarshal(content, into); err != nil {
		return fmt.Errorf("inside: %w", err)
	}
	return nil
}
