package insights

import (
	"encoding/json"
	"maps"
	"regexp"
	"strconv"
	"strings"
)

// fieldsMax bounds the fields that are found in one event. Source: User Guide, "Supported logs and discovered fields".
const fieldsMax = 1000

// depthMax bounds how deep fields and expressions are nested.
const depthMax = 64

// row is an event on its way, or a group's result.
type row struct {
	event   *Event // nil for a group
	set     map[string]value
	found   map[string]value // lazily
	results []value          // of a group's functions
}

// with is the row with one more field.
func (r *row) with(name string, v value) *row {
	if r.set == nil {
		r.set = map[string]value{}
	}
	r.set[name] = v
	return r
}

func (r *row) copied() *row {
	c := *r
	c.set = maps.Clone(r.set)
	return &c
}

// bytes is what it costs to keep the row.
func (r *row) bytes() int {
	n := rowBytes + 64*len(r.found)
	if r.event != nil {
		n += len(r.event.Message)
	}
	for k, v := range r.set {
		n += len(k) + len(v.text) + 32
	}
	return n
}

func (r *row) get(name string) value {
	if v, ok := r.set[name]; ok {
		return v
	}
	if r.event == nil {
		return value{}
	}
	switch name {
	case "@timestamp":
		return momentOf(r.event.Time)
	case "@ingestionTime":
		return momentOf(r.event.Ingested)
	case "@message":
		return textOf(r.event.Message)
	case "@logStream":
		return textOf(r.event.Stream)
	case "@log":
		return textOf(r.event.Log)
	case "@ptr":
		return textOf(r.event.Pointer)
	}
	if r.found == nil {
		r.found = map[string]value{}
		discoverLambda(r.event.Message, r.found)
		discoverJSON(r.event.Message, r.found)
	}
	return r.found[name]
}

// discoverJSON takes the members of the first JSON object in a message, by their paths: a.b.0.c.
func discoverJSON(message string, into map[string]value) {
	at := strings.IndexByte(message, '{')
	if at < 0 {
		return
	}
	d := json.NewDecoder(strings.NewReader(message[at:]))
	d.UseNumber()
	var object map[string]any
	if d.Decode(&object) != nil {
		return
	}
	flatten("", object, 0, into)
}

func flatten(path string, v any, depth int, into map[string]value) {
	if len(into) >= fieldsMax || depth > depthMax {
		return
	}
	below := func(name string) string {
		if path == "" {
			return name
		}
		return path + "." + name
	}
	switch v := v.(type) {
	case map[string]any:
		for name, member := range v {
			flatten(below(name), member, depth+1, into)
		}
	case []any:
		for i, element := range v {
			flatten(below(strconv.Itoa(i)), element, depth+1, into)
		}
	case json.Number:
		if f, err := v.Float64(); err == nil && strconv.FormatFloat(f, 'f', -1, 64) == v.String() {
			into[path] = numberOf(f)
		} else {
			into[path] = textOf(v.String()) // as it was written, e.g. a long id
		}
	case string:
		into[path] = textOf(v)
	case bool:
		into[path] = textOf(strconv.FormatBool(v))
	}
}

var (
	lambdaLine = regexp.MustCompile(`^(START|END|REPORT|INIT_START|RESTORE_START|RESTORE_REPORT)\b(?: RequestId: ([0-9a-fA-F-]{36}))?`)
	// printed is a line that a runtime has put a time and a request's id before.
	printed = regexp.MustCompile(`^(?:\[\w+\]\t)?\S+\t([0-9a-fA-F]{8}-[0-9a-fA-F-]{27})\t`)
)

// reportFields are the parts of a REPORT line; a scale of 0 is a text. Memory is in bytes: MB times a million. Source: User
// Guide, sample queries for Lambda.
var reportFields = map[string]struct {
	name  string
	scale float64
}{
	"Duration":        {"@duration", 1},
	"Billed Duration": {"@billedDuration", 1},
	"Init Duration":   {"@initDuration", 1},
	"Memory Size":     {"@memorySize", 1e6},
	"Max Memory Used": {"@maxMemoryUsed", 1e6},
	"XRAY TraceId":    {"@xrayTraceId", 0},
	"SegmentId":       {"@xraySegmentId", 0},
}

// discoverLambda takes the fields of the lines that Lambda writes. Source: User Guide, "Supported logs and discovered fields".
func discoverLambda(message string, into map[string]value) {
	head := lambdaLine.FindStringSubmatch(message)
	if head == nil {
		if m := printed.FindStringSubmatch(message); m != nil {
			into["@requestId"] = textOf(m[1])
		}
		return
	}
	into["@type"] = textOf(head[1])
	if head[2] != "" {
		into["@requestId"] = textOf(head[2])
	}
	if head[1] != "REPORT" {
		return
	}
	_, report, _ := strings.Cut(message, head[2])
	for part := range strings.SplitSeq(strings.TrimSpace(report), "\t") {
		name, rest, _ := strings.Cut(part, ": ")
		f, ok := reportFields[name]
		if !ok {
			continue
		}
		first, _, _ := strings.Cut(strings.TrimSpace(rest), " ")
		if n, err := strconv.ParseFloat(first, 64); err == nil && f.scale != 0 {
			into[f.name] = numberOf(n * f.scale)
		} else if f.scale == 0 {
			into[f.name] = textOf(first)
		}
	}
}

// automatic are the fields that every event has.
var automatic = []string{"@timestamp", "@ingestionTime", "@message", "@logStream", "@log", "@ptr"}

// Fields are all of an event's fields, as text.
func Fields(e Event) map[string]string {
	r := &row{event: &e}
	r.get("") // which finds them
	out := map[string]string{}
	for name, v := range r.found {
		out[name] = v.String()
	}
	for _, name := range automatic {
		out[name] = r.get(name).String()
	}
	return out
}
