package streampoller

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/lambdad/lambdad/internal/aws"
	"github.com/lambdad/lambdad/internal/poller/filter"
)

// StreamRecord is a record as a stream's service has it.
type StreamRecord struct {
	Sequence string
	Key      string
	Arrived  time.Time
	Data     string  // of Kinesis, base64
	Change   *change // of DynamoDB
}

// epoch is a time as AWS's JSON has it: seconds, with a fraction or an exponent.
type epoch struct{ time.Time }

func (e *epoch) UnmarshalJSON(b []byte) error {
	seconds, err := strconv.ParseFloat(string(b), 64)
	if err != nil || math.IsNaN(seconds) || math.Abs(seconds) > 1e12 {
		return fmt.Errorf("streampoller: %.40q is no time", b)
	}
	e.Time = time.UnixMilli(int64(math.Round(seconds * 1000)))
	return nil
}

func (e epoch) MarshalJSON() ([]byte, error) {
	return strconv.AppendFloat(nil, float64(e.UnixMilli())/1000, 'f', -1, 64), nil
}

// kinesisEvent is a record of Kinesis as functions see it. Source: Lambda developer guide, "Using Lambda to
// process records from Amazon Kinesis Data Streams", example event.
type kinesisEvent struct {
	Kinesis   kinesisPart `json:"kinesis"`
	Source    string      `json:"eventSource"`
	Version   string      `json:"eventVersion"`
	ID        string      `json:"eventID"`
	Name      string      `json:"eventName"`
	Role      string      `json:"invokeIdentityArn"`
	Region    aws.Region  `json:"awsRegion"`
	SourceARN string      `json:"eventSourceARN"`
}

type kinesisPart struct {
	Schema   string `json:"kinesisSchemaVersion"`
	Key      string `json:"partitionKey"`
	Sequence string `json:"sequenceNumber"`
	Data     string `json:"data"`
	Arrived  epoch  `json:"approximateArrivalTimestamp"`
}

// tableEvent is a change of a table as functions see it (recorded: test_dynamodb_report_batch_item_failures;
// the order of its members: Lambda developer guide, "Using AWS Lambda with Amazon DynamoDB"; who changed it:
// DynamoDB developer guide, "DynamoDB Streams and Time to Live").
type tableEvent struct {
	ID        string       `json:"eventID"`
	Name      string       `json:"eventName"`
	Version   string       `json:"eventVersion"`
	Source    string       `json:"eventSource"`
	Region    string       `json:"awsRegion"`
	Item      any          `json:"dynamodb"`
	By        *tableEditor `json:"userIdentity,omitempty"`
	SourceARN string       `json:"eventSourceARN"`
}

type tableEditor struct {
	Type      string `json:"type"`
	Principal string `json:"principalId"`
}

// origin is what is the same in all records of a shard.
type origin struct {
	source, shard, role string
	region              aws.Region
}

// encode writes a record as the function sees it.
func (o *origin) encode(r *StreamRecord) ([]byte, error) {
	var event any
	if c := r.Change; c != nil {
		e := tableEvent{ID: c.EventID, Name: c.EventName, Version: c.EventVersion, Source: c.Source, Region: c.Region, Item: &c.Item, SourceARN: o.source}
		if c.By != nil {
			e.By = &tableEditor{c.By.Type, c.By.Principal}
		}
		event = e
	} else {
		event = kinesisEvent{
			Kinesis: kinesisPart{"1.0", r.Key, r.Sequence, r.Data, epoch{r.Arrived}}, Source: "aws:kinesis", Version: "1.0",
			ID: o.shard + ":" + r.Sequence, Name: "aws:kinesis:record", Role: o.role, Region: o.region, SourceARN: o.source,
		}
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(event); err != nil {
		return nil, err
	}
	return bytes.TrimSpace(b.Bytes()), nil
}

// passes matches a record with filters: a change of a table as it is, and of Kinesis the members of the record
// beside its metadata, with the data as JSON where it is an object or an array, and as text elsewhere. Source: Lambda
// developer guide, "Using event filtering with a Kinesis event source", and with a DynamoDB event source.
func passes(filters filter.Set, r *StreamRecord, body []byte) bool {
	if len(filters) == 0 {
		return true
	}
	v, err := filter.Decode(body)
	event, ok := v.(map[string]any)
	if err != nil || !ok {
		return false
	}
	if r.Change != nil {
		return filters.Match(event)
	}
	part, _ := event["kinesis"].(map[string]any)
	if data, err := base64.StdEncoding.DecodeString(r.Data); err == nil {
		part["data"] = dataOf(data)
	}
	for name, value := range part {
		event[name] = value
	}
	return filters.Match(event)
}

func dataOf(data []byte) any {
	v, err := filter.Decode(data)
	switch v.(type) {
	case map[string]any, []any:
		if err == nil {
			return v
		}
	}
	if !utf8.Valid(data) {
		return nil // what is no text matches no text
	}
	return string(data)
}

// windowForm is how a window's ends are written. Source: Lambda developer guide, "Implementing
// stateful Kinesis Data Streams processing", example event.
const windowForm = "2006-01-02T15:04:05Z"

// encodeEvent is the payload of a batch.
func encodeEvent(b *Batch, o *origin) ([]byte, error) {
	size := 1024
	for _, r := range b.Records {
		size += len(r.Body) + 1
	}
	out := append(make([]byte, 0, size), `{"Records":[`...)
	for i, r := range b.Records {
		if i > 0 {
			out = append(out, ',')
		}
		out = append(out, r.Body...)
	}
	out = append(out, ']')
	if w := b.Window; w != nil {
		more, err := json.Marshal(struct {
			Window struct {
				Start string `json:"start"`
				End   string `json:"end"`
			} `json:"window"`
			State  json.RawMessage `json:"state"`
			Shard  string          `json:"shardId"`
			Source string          `json:"eventSourceARN"`
			Final  bool            `json:"isFinalInvokeForWindow"`
			Early  bool            `json:"isWindowTerminatedEarly"`
		}{
			Window: struct {
				Start string `json:"start"`
				End   string `json:"end"`
			}{w.Start.UTC().Format(windowForm), w.End.UTC().Format(windowForm)},
			State: w.State, Shard: b.Shard, Source: o.source, Final: w.Final, Early: w.Early,
		})
		if err != nil {
			return nil, err
		}
		out = append(append(out, ','), more[1:len(more)-1]...)
	}
	return append(out, '}'), nil
}
