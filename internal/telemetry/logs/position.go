package logs

import (
	"cmp"
	"fmt"
	"math"
	"strconv"
)

// Position is where an event stands among the events of its stream.
type Position struct {
	Time     int64
	Sequence uint64
	Index    uint32
}

// Compare orders positions as readers see events.
func (p Position) Compare(q Position) int {
	return cmp.Or(cmp.Compare(p.Time, q.Time), cmp.Compare(p.Sequence, q.Sequence), cmp.Compare(p.Index, q.Index))
}

// atTime is before every event of that time, or after every one.
func beforeTime(t int64) Position { return Position{Time: max(t, 0)} }
func afterTime(t int64) Position {
	return Position{Time: max(t, 0), Sequence: math.MaxUint64, Index: math.MaxUint32}
}

// positionDigits is the length of a position's text: as long as the service's
// own event ids.
const positionDigits = 56

func (p Position) String() string {
	return fmt.Sprintf("%020d%020d%016d", p.Time, p.Sequence, p.Index)
}

func parsePosition(s string) (Position, bool) {
	if len(s) != positionDigits {
		return Position{}, false
	}
	t, errT := strconv.ParseUint(s[:20], 10, 63)
	sequence, errS := strconv.ParseUint(s[20:40], 10, 64)
	index, errI := strconv.ParseUint(s[40:], 10, 32)
	ok := errT == nil && errS == nil && errI == nil
	return Position{Time: int64(t), Sequence: sequence, Index: uint32(index)}, ok
}

// TimeOfID is when the event of a Found's ID happened.
func TimeOfID(id string) (millis int64, ok bool) {
	p, ok := parsePosition(id)
	return p.Time, ok
}
