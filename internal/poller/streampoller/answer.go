package streampoller

import (
	"bytes"
	"encoding/json"
)

// verdict reads a function's answer: how many of the batch's first records are done, and the state of a
// tumbling window. ok is false where the whole batch failed. Of several failures the one with the lowest
// sequence number counts. Source: Lambda developer guide, "Configuring partial batch response with Kinesis Data
// Streams and Lambda" and "Implementing stateful Kinesis Data Streams processing".
func verdict(answer []byte, b *Batch, reports bool) (done int, state json.RawMessage, ok bool) {
	if !reports && b.Window == nil {
		return len(b.Records), nil, true
	}
	var body map[string]json.RawMessage
	answer = bytes.TrimSpace(answer)
	nothing := len(answer) == 0 || string(answer) == "null" || string(answer) == `""`
	if !nothing && answer[0] == '{' && json.Unmarshal(answer, &body) != nil {
		return 0, nil, false
	}
	if b.Window != nil && !b.Window.Final {
		if state = body["state"]; len(state) == 0 || string(state) == "null" {
			return 0, nil, false
		}
		// As it is kept, which is what its size is measured by.
		var err error
		if state, err = json.Marshal(state); err != nil {
			return 0, nil, false
		}
	}
	if !reports || nothing {
		return len(b.Records), state, true
	}
	if body == nil { // no object
		return 0, nil, false
	}
	failures, said := body["batchItemFailures"]
	if !said {
		return len(b.Records), state, true
	}
	var items []map[string]any
	if json.Unmarshal(failures, &items) != nil {
		return 0, nil, false
	}
	place := make(map[string]int, len(b.Records))
	for i, r := range b.Records {
		place[r.Sequence] = i
	}
	done = len(b.Records)
	for _, item := range items {
		id, _ := item["itemIdentifier"].(string)
		i, known := place[id]
		if !known {
			return 0, nil, false
		}
		done = min(done, i)
	}
	return done, state, done > 0 || len(b.Records) == 0
}
