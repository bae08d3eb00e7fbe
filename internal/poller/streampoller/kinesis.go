package streampoller

import (
	"context"
	"errors"
	"net/url"
	"strings"
	"time"

	"github.com/lambdad/lambdad/internal/aws"
	"github.com/lambdad/lambdad/internal/poller/remote"
	"github.com/lambdad/lambdad/internal/wire/sigv4"
)

const (
	// callTimeout bounds one call of a stream's service.
	callTimeout = 30 * time.Second
	// shardsMax bounds the shards of a stream.
	shardsMax = 20_000
	// shardsPage is how many shards a page of a listing has. Source: Kinesis API, ListShards.
	shardsPage = 1000
)

// Kinesis is Kinesis Data Streams at an endpoint. It is safe for concurrent use.
type Kinesis struct{ client *remote.Client }

// NewKinesis makes a client of an endpoint.
func NewKinesis(endpoint *url.URL) *Kinesis {
	return &Kinesis{remote.New(remote.Service{Name: "Kinesis", Signing: "kinesis", Target: "Kinesis_20131202", Version: "1.1", Timeout: callTimeout}, endpoint)}
}

// kinesisShard is a Shard of Kinesis' model.
type kinesisShard struct {
	ShardID         string `json:"ShardId"`
	Parent          string `json:"ParentShardId"`
	AdjacentParent  string `json:"AdjacentParentShardId"`
	SequenceNumbers struct {
		Ending string `json:"EndingSequenceNumber"`
	} `json:"SequenceNumberRange"`
}

func (s *kinesisShard) info() ShardInfo {
	out := ShardInfo{ID: s.ShardID, Closed: s.SequenceNumbers.Ending != ""}
	for _, p := range []string{s.Parent, s.AdjacentParent} {
		if p != "" {
			out.Parents = append(out.Parents, p)
		}
	}
	return out
}

// stream names a stream in both ways: the ARN is for those of other accounts.
func stream(arn aws.ARN) map[string]any {
	return map[string]any{"StreamName": strings.TrimPrefix(arn.Resource, "stream/"), "StreamARN": arn.String()}
}

// Shards lists all shards that the stream still has something of.
func (k *Kinesis) Shards(ctx context.Context, sign sigv4.Credentials, arn aws.ARN) (Listing, error) {
	var about struct {
		StreamDescription struct{ RetentionPeriodHours int }
	}
	in := stream(arn)
	in["Limit"] = 1
	if err := told(k.client.Ask(ctx, sign, arn.Region, "DescribeStream", in, &about)); err != nil {
		return Listing{}, err
	}
	out := Listing{Retention: time.Duration(about.StreamDescription.RetentionPeriodHours) * time.Hour}
	in = stream(arn)
	for {
		var page struct {
			Shards    []kinesisShard
			NextToken string
		}
		in["MaxResults"] = shardsPage
		if err := told(k.client.Ask(ctx, sign, arn.Region, "ListShards", in, &page)); err != nil {
			return Listing{}, err
		}
		for i := range page.Shards {
			out.Shards = append(out.Shards, page.Shards[i].info())
		}
		if page.NextToken == "" {
			return out, nil
		}
		if len(out.Shards) > shardsMax {
			return Listing{}, errTooManyShards
		}
		in = map[string]any{"NextToken": page.NextToken}
	}
}

var errTooManyShards = errors.New("streampoller: the stream has too many shards")

// Read implements the door.
func (k *Kinesis) Read(ctx context.Context, sign sigv4.Credentials, arn aws.ARN, shard string, from From, limit int) (Page, error) {
	iterator := from.Iterator
	if iterator == "" {
		in := stream(arn)
		in["ShardId"] = shard
		switch {
		case from.After != "":
			in["ShardIteratorType"], in["StartingSequenceNumber"] = "AFTER_SEQUENCE_NUMBER", from.After
		default:
			in["ShardIteratorType"] = from.Position
			if !from.Since.IsZero() {
				in["Timestamp"] = float64(from.Since.UnixMilli()) / 1000
			}
		}
		var out struct{ ShardIterator string }
		if err := told(k.client.Ask(ctx, sign, arn.Region, "GetShardIterator", in, &out)); err != nil {
			return Page{}, err
		}
		iterator = out.ShardIterator
	}
	var got struct {
		Records []struct {
			Data            string
			PartitionKey    string
			SequenceNumber  string
			ApproximateTime epoch `json:"ApproximateArrivalTimestamp"`
		}
		Next   string `json:"NextShardIterator"`
		Behind int64  `json:"MillisBehindLatest"`
	}
	in := map[string]any{"ShardIterator": iterator, "StreamARN": arn.String(), "Limit": limit}
	if err := told(k.client.Ask(ctx, sign, arn.Region, "GetRecords", in, &got)); err != nil {
		return Page{}, err
	}
	out := Page{Next: got.Next, Behind: got.Behind > 0}
	for i := range got.Records {
		r := &got.Records[i]
		out.Records = append(out.Records, StreamRecord{Sequence: r.SequenceNumber, Key: r.PartitionKey, Arrived: r.ApproximateTime.Time, Data: r.Data})
	}
	return out, nil
}

// told reads a fault of a stream's service. Sources: Kinesis and DynamoDB Streams APIs, GetRecords, GetShardIterator.
func told(err error) error {
	var fault *remote.Error
	if !errors.As(err, &fault) {
		return err
	}
	var kind error
	switch fault.Code {
	case "ExpiredIteratorException":
		kind = ErrExpired
	case "TrimmedDataAccessException":
		kind = ErrTrimmed
	case "ResourceNotFoundException":
		kind = ErrGone
	case "AccessDeniedException", "UnrecognizedClientException", "InvalidSignatureException":
		kind = ErrDenied
	default:
		return err
	}
	return errors.Join(kind, err)
}
