// Package platform owns the events by which Lambda tells what happens to an execution
// environment: their shapes in each published schema, as log groups in JSON format and the
// subscribers of the Telemetry and Logs APIs get them. It must never import a room: it is
// forms, and whoever runs something fills them.
package platform

import (
	"bytes"
	"encoding/json"
	"math"
	"strconv"
	"time"
)

// Schema is a published form of events.
type Schema string

// Source: Lambda developer guide, "Lambda Telemetry API reference" and "Lambda Logs API".
const (
	Logs20200815      Schema = "2020-08-15"
	Logs20210318      Schema = "2021-03-18" // with runtimeDone
	Telemetry20220701 Schema = "2022-07-01"
	Telemetry20221213 Schema = "2022-12-13" // with the restore events
	Telemetry20250129 Schema = "2025-01-29"
	// Latest is what log groups in JSON format get.
	Latest = Telemetry20250129
)

// Logs reports whether it is one of the Logs API's.
func (s Schema) Logs() bool { return s == Logs20200815 || s == Logs20210318 }

// timeFormat is ISO 8601 in UTC with milliseconds.
const timeFormat = "2006-01-02T15:04:05.000Z"

// Time is how events write a moment.
func Time(t time.Time) string { return t.UTC().Format(timeFormat) }

// Millis is a metric: three decimals at most, and one at least, as AWS writes them (5000.0).
type Millis time.Duration

// MarshalJSON implements json.Marshaler.
func (m Millis) MarshalJSON() ([]byte, error) {
	v := math.Round(float64(m)/1000) / 1000
	b := strconv.AppendFloat(nil, v, 'f', -1, 64)
	if v == math.Trunc(v) {
		b = append(b, ".0"...)
	}
	return b, nil
}

// Record is what one event tells.
type Record interface {
	// Type of its event, e.g. platform.start.
	Type() string
	// in is its form in a schema, nil where the schema has none.
	in(Schema) any
}

// Event is the JSON of one event; false if the schema knows none of the kind.
func Event(schema Schema, at time.Time, r Record) ([]byte, bool) {
	form := r.in(schema)
	if form == nil {
		return nil, false
	}
	return event(at, r.Type(), form), true
}

// Kinds of lines that programs write.
const (
	KindFunction  = "function"
	KindExtension = "extension"
)

// Line is the JSON of an event that carries a program's line. With structured, a line that is a JSON
// object is carried as one. Source: Lambda developer guide, "Telemetry API Event schema
// reference", function: the record's form follows the function's log format.
func Line(kind string, at time.Time, line string, structured bool) []byte {
	var record any = line
	if structured && len(line) > 0 && line[0] == '{' && json.Valid([]byte(line)) {
		record = json.RawMessage(line)
	}
	return event(at, kind, record)
}

func event(at time.Time, kind string, record any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(struct {
		Time   string `json:"time"`
		Type   string `json:"type"`
		Record any    `json:"record"`
	}{Time(at), kind, record}); err != nil {
		panic("platform: an event that cannot be JSON: " + err.Error())
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}
