package sqspoller

import (
	"bytes"
	"encoding/json"
)

// rejected reads which messages a function names as failed, by their place. ok is false where
// the answer makes the whole batch fail. Source: Lambda developer guide, "Implementing partial
// batch responses"; recorded: test_report_batch_item_failures and its relatives.
func rejected(answer []byte, batch *Batch) (places map[int]bool, ok bool) {
	answer = bytes.TrimSpace(answer)
	if len(answer) == 0 || string(answer) == "null" || string(answer) == `""` {
		return nil, true
	}
	var body map[string]json.RawMessage // a struct would take the name in any case
	if answer[0] != '{' || json.Unmarshal(answer, &body) != nil {
		return nil, false
	}
	said, there := body["batchItemFailures"]
	if !there {
		return nil, true
	}
	var failures []map[string]any
	if json.Unmarshal(said, &failures) != nil {
		return nil, false
	}
	place := make(map[string]int, len(batch.Messages))
	for i, m := range batch.Messages {
		place[m.ID] = i
	}
	places = map[int]bool{}
	for _, f := range failures {
		id, _ := f["itemIdentifier"].(string)
		i, known := place[id]
		if !known {
			return nil, false
		}
		places[i] = true
	}
	return places, true
}
