package streampoller

import (
	"bytes"
	"context"
	"encoding/json"
	"net/url"
	"time"

	"github.com/lambdad/lambdad/internal/aws"
	"github.com/lambdad/lambdad/internal/poller/remote"
	"github.com/lambdad/lambdad/internal/record"
	"github.com/lambdad/lambdad/internal/wire/sigv4"
)

const (
	// tableRetention is how long DynamoDB keeps a change. Source: DynamoDB developer guide, "Change data
	// capture for DynamoDB Streams".
	tableRetention = 24 * time.Hour
	// tableReadMax is what a read brings at most. Source: DynamoDB Streams API, GetRecords, Limit.
	tableReadMax = 1000
)

// DynamoDB is DynamoDB Streams at an endpoint. It is safe for concurrent use.
type DynamoDB struct{ client *remote.Client }

// NewDynamoDB makes a client of an endpoint.
func NewDynamoDB(endpoint *url.URL) *DynamoDB {
	return &DynamoDB{remote.New(remote.Service{Name: "DynamoDB Streams", Signing: "dynamodb", Target: "DynamoDBStreams_20120810", Version: "1.0", Timeout: callTimeout}, endpoint)}
}

// Shards lists all shards that the stream still has something of.
func (d *DynamoDB) Shards(ctx context.Context, sign sigv4.Credentials, arn aws.ARN) (Listing, error) {
	out := Listing{Retention: tableRetention}
	in := map[string]any{"StreamArn": arn.String()}
	for {
		var page struct {
			StreamDescription struct {
				Shards []kinesisShard
				Last   string `json:"LastEvaluatedShardId"`
			}
		}
		if err := told(d.client.Ask(ctx, sign, arn.Region, "DescribeStream", in, &page)); err != nil {
			return Listing{}, err
		}
		for i := range page.StreamDescription.Shards {
			out.Shards = append(out.Shards, page.StreamDescription.Shards[i].info())
		}
		if page.StreamDescription.Last == "" {
			return out, nil
		}
		if len(out.Shards) > shardsMax {
			return Listing{}, errTooManyShards
		}
		in["ExclusiveStartShardId"] = page.StreamDescription.Last
	}
}

// change is a Record of DynamoDB Streams' model.
type change struct {
	EventID      string `json:"eventID"`
	EventName    string `json:"eventName"`
	EventVersion string `json:"eventVersion"`
	Source       string `json:"eventSource"`
	Region       string `json:"awsRegion"`
	Item         struct {
		Time     *epoch          `json:"ApproximateCreationDateTime,omitempty"`
		Keys     json.RawMessage `json:"Keys,omitempty"`
		New      json.RawMessage `json:"NewImage,omitempty"`
		Old      json.RawMessage `json:"OldImage,omitempty"`
		Sequence string          `json:"SequenceNumber"`
		Bytes    int64           `json:"SizeBytes"`
		View     string          `json:"StreamViewType"`
	} `json:"dynamodb"`
	By *struct {
		Principal string `json:"PrincipalId"`
		Type      string `json:"Type"`
	} `json:"userIdentity"`
}

// Read implements the door. DynamoDB knows no place by its time: what is asked for since some time begins at
// the beginning, and who asks leaves out what is older.
func (d *DynamoDB) Read(ctx context.Context, sign sigv4.Credentials, arn aws.ARN, shard string, from From, limit int) (Page, error) {
	iterator := from.Iterator
	if iterator == "" {
		in := map[string]any{"StreamArn": arn.String(), "ShardId": shard}
		switch {
		case from.After != "":
			in["ShardIteratorType"], in["SequenceNumber"] = "AFTER_SEQUENCE_NUMBER", from.After
		case from.Position == record.PositionLatest:
			in["ShardIteratorType"] = record.PositionLatest
		default:
			in["ShardIteratorType"] = record.PositionTrimHorizon
		}
		var out struct{ ShardIterator string }
		if err := told(d.client.Ask(ctx, sign, arn.Region, "GetShardIterator", in, &out)); err != nil {
			return Page{}, err
		}
		iterator = out.ShardIterator
	}
	var got struct {
		Records []change
		Next    string `json:"NextShardIterator"`
	}
	in := map[string]any{"ShardIterator": iterator, "Limit": min(limit, tableReadMax)}
	if err := told(d.client.Ask(ctx, sign, arn.Region, "GetRecords", in, &got)); err != nil {
		return Page{}, err
	}
	out := Page{Next: got.Next}
	for i := range got.Records {
		c := &got.Records[i]
		r := StreamRecord{Sequence: c.Item.Sequence, Key: itemKey(c.Item.Keys), Change: c}
		if c.Item.Time != nil {
			r.Arrived = c.Item.Time.Time
		}
		out.Records = append(out.Records, r)
	}
	return out, nil
}

// itemKey is the same text for the same item.
func itemKey(keys json.RawMessage) string {
	var attributes map[string]json.RawMessage
	if json.Unmarshal(keys, &attributes) != nil {
		return string(keys)
	}
	b, err := json.Marshal(attributes) // sorts the names, and compacts
	if err != nil {
		return string(bytes.TrimSpace(keys))
	}
	return string(b)
}
