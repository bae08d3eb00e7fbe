package microvm

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"sync"

	"golang.org/x/sys/unix"
)

// qmp speaks QEMU's monitor protocol. Source: QEMU's docs/interop/qmp-spec.
type qmp struct {
	conn *net.UnixConn

	calls   sync.Mutex // one at a time
	answers chan answer
	events  chan string // names; the newest are dropped when nobody listens
	files   int         // descriptors that were passed
}

type answer struct {
	Return json.RawMessage `json:"return"`
	Error  *struct {
		Class string `json:"class"`
		Desc  string `json:"desc"`
	} `json:"error"`
	Event    string          `json:"event"`
	Greeting json.RawMessage `json:"QMP"`
	ID       *int            `json:"id"`
}

// lineMax bounds one message of QEMU.
const lineMax = 1 << 20

func newQMP(conn *net.UnixConn) *qmp {
	q := &qmp{conn: conn, answers: make(chan answer, 1), events: make(chan string, 64)}
	go q.readFrom(conn)
	return q
}

func (q *qmp) readFrom(r io.Reader) {
	defer close(q.answers)
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, lineMax)
	for lines.Scan() {
		var a answer
		if json.Unmarshal(lines.Bytes(), &a) != nil {
			return // whoever waits sees the end
		}
		switch {
		case a.Greeting != nil:
		case a.Event != "":
			select {
			case q.events <- a.Event:
			default:
			}
		default:
			q.answers <- a
		}
	}
}

// call sends a command and waits for its answer. A call that ctx cut short
// leaves the monitor unusable: its machine must be ended.
func (q *qmp) call(ctx context.Context, result any, command string, arguments any, files ...*os.File) error {
	q.calls.Lock()
	defer q.calls.Unlock()
	message, err := json.Marshal(struct {
		Execute   string `json:"execute"`
		Arguments any    `json:"arguments,omitempty"`
	}{command, arguments})
	if err != nil {
		return err
	}
	var oob []byte
	for _, f := range files {
		oob = append(oob, unix.UnixRights(int(f.Fd()))...)
	}
	if _, _, err := q.conn.WriteMsgUnix(append(message, '\n'), oob, nil); err != nil {
		return fmt.Errorf("qmp %s: %w", command, err)
	}
	select {
	case a, ok := <-q.answers:
		switch {
		case !ok:
			return fmt.Errorf("qmp %s: %w", command, errMachineEnded)
		case a.Error != nil:
			return fmt.Errorf("qmp %s: %s", command, a.Error.Desc)
		case result != nil:
			return json.Unmarshal(a.Return, result)
		}
		return nil
	case <-ctx.Done():
		q.conn.Close()
		return fmt.Errorf("qmp %s: no answer: %w", command, ctx.Err())
	}
}

var errMachineEnded = errors.New("the machine monitor has ended")

// pass gives QEMU a descriptor and returns the path that it can open. It is
// called from one goroutine at a time.
func (q *qmp) pass(ctx context.Context, f *os.File) (string, error) {
	q.files++
	set := fdsetFirst + q.files
	return fdset(set), q.call(ctx, nil, "add-fd", map[string]any{"fdset-id": set}, f)
}

// fdsetFirst keeps those that are passed later apart from those of the command line.
const fdsetFirst = 1000

func fdset(n int) string { return "/dev/fdset/" + strconv.Itoa(n) }
