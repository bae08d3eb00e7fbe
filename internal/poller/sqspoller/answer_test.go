package sqspoller

import (
	"maps"
	"testing"
)

// TestRejected: recorded are test_report_batch_item_failures_* (see AWS's forms of success and
// of failure in the Lambda developer guide, "Implementing partial batch responses").
func TestRejected(t *testing.T) {
	b := &Batch{Messages: []Message{{ID: "a"}, {ID: "b"}, {ID: "c"}}}
	for answer, want := range map[string]map[int]bool{
		``: nil, `null`: nil, `""`: nil, `{}`: nil, ` {} `: nil, `{"batchItemFailures":[]}`: nil, `{"batchItemFailures":null}`: nil, `{"statusCode":200}`: nil,
		`{"BatchItemFailures":[{"itemIdentifier":"b"}]}`:                                        nil, // another name
		`{"batchItemFailures":[{"itemIdentifier":"b"}]}`:                                        {1: true},
		`{"batchItemFailures":[{"itemIdentifier":"c"},{"itemIdentifier":"a","why":"x"}]}`:       {0: true, 2: true},
		`{"batchItemFailures":[{"itemIdentifier":"a"},{"itemIdentifier":"a"}],"other":[1,2,3]}`: {0: true},
	} {
		got, ok := rejected([]byte(answer), b)
		if !ok || !maps.Equal(got, want) {
			t.Errorf("%s: %v, %v; want %v", answer, got, ok, want)
		}
	}
	for _, answer := range []string{
		`{"batchItemFailures":[{"itemIdentifier":""}]}`, `{"batchItemFailures":[{"itemIdentifier":null}]}`, `{"batchItemFailures":[{"foo":"a"}]}`,
		`{"batchItemFailures":[{"itemIdentifier":"stranger"}]}`, `{"batchItemFailures":[{"itemIdentifier":"a"},{"itemIdentifier":"stranger"}]}`,
		`{"batchItemFailures":"a"}`, `{"batchItemFailures":["a"]}`, `{"batchItemFailures":[null]}`, `{"batchItemFailures":[{"itemIdentifier":1}]}`, `{`, `"text"`, `[]`, `5`, `{"batchItemFailures":{}}`,
	} {
		if got, ok := rejected([]byte(answer), b); ok {
			t.Errorf("%s: the batch does not fail: %v", answer, got)
		}
	}
}

func FuzzRejected(f *testing.F) {
	f.Add([]byte(`{"batchItemFailures":[{"itemIdentifier":"b"}]}`))
	f.Add([]byte(`{"batchItemFailures":[null]}`))
	f.Fuzz(func(t *testing.T, answer []byte) {
		b := &Batch{Messages: []Message{{ID: "a"}, {ID: "b"}}}
		places, _ := rejected(answer, b)
		for i := range places {
			if i < 0 || i >= len(b.Messages) {
				t.Errorf("place %d", i)
			}
		}
	})
}
