package logs

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/lambdad/lambdad/internal/telemetry/logs"
)

// refusing is functions of which one is not to be invoked.
type refusing struct{}

func (refusing) Check(_ context.Context, _ logs.Scope, group, function string) error {
	if group != "g" || strings.HasSuffix(function, ":bad") {
		return errors.New("no")
	}
	return nil
}

func TestSubscriptionFilters(t *testing.T) {
	h := newHouse(t, nil)
	h.must("CreateLogGroup", object{"logGroupName": "g"})
	const function = "arn:aws:lambda:us-east-1:111111111111:function:f"
	filter := func(change object) object {
		in := object{"logGroupName": "g", "filterName": "a", "filterPattern": "x", "destinationArn": function}
		for k, v := range change {
			in[k] = v
		}
		return in
	}
	for name, c := range map[string]struct {
		change     object
		code, text string
	}{
		"no group":       {object{"logGroupName": "none"}, "ResourceNotFoundException", noGroup},
		"pattern":        {object{"filterPattern": "{"}, "InvalidParameterException", "Invalid filter pattern"},
		"no ARN":         {object{"destinationArn": "f"}, "InvalidParameterException", "destinationArn"},
		"a stream":       {object{"destinationArn": "arn:aws:kinesis:us-east-1:111111111111:stream/s"}, "InvalidParameterException", "destinationArn for vendor kinesis is not supported here"},
		"a role":         {object{"roleArn": "arn:aws:iam::111111111111:role/r"}, "InvalidParameterException", "destinationArn for vendor lambda cannot be used with roleArn"},
		"not executable": {object{"destinationArn": function + ":bad"}, "InvalidParameterException", "no"},
		"transformed":    {object{"applyOnTransformedLogs": true}, "InvalidParameterException", "applyOnTransformedLogs"},
		"criteria":       {object{"fieldSelectionCriteria": "x"}, "InvalidParameterException", "fieldSelectionCriteria"},
		"distribution":   {object{"distribution": "Even"}, "InvalidParameterException", "distribution"},
	} {
		if code, text := h.refused("PutSubscriptionFilter", filter(c.change)); code != c.code || !strings.Contains(text, c.text) {
			t.Errorf("%s: %s: %s", name, code, text)
		}
	}
	h.must("PutSubscriptionFilter", filter(nil))
	h.must("PutSubscriptionFilter", filter(object{"filterName": "b"}))
	if code, text := h.refused("PutSubscriptionFilter", filter(object{"filterName": "c"})); code != "LimitExceededException" || text != "Resource limit exceeded." {
		t.Errorf("%s: %s", code, text)
	}
	page := h.must("DescribeSubscriptionFilters", object{"logGroupName": "g", "limit": 1})
	first := page["subscriptionFilters"].([]any)[0].(object)
	if first["filterName"] != "a" || first["destinationArn"] != function || first["distribution"] != "ByLogStream" || first["filterPattern"] != "x" || first["logGroupName"] != "g" || first["creationTime"] == nil {
		t.Errorf("%v", first)
	}
	if rest := h.must("DescribeSubscriptionFilters", object{"logGroupName": "g", "nextToken": page["nextToken"]}); len(rest["subscriptionFilters"].([]any)) != 1 || rest["nextToken"] != nil {
		t.Errorf("%v", rest)
	}
	h.must("DeleteSubscriptionFilter", object{"logGroupName": "g", "filterName": "a"})
	if code, text := h.refused("DeleteSubscriptionFilter", object{"logGroupName": "g", "filterName": "a"}); code != "ResourceNotFoundException" || text != "The specified subscription filter does not exist." {
		t.Errorf("%s: %s", code, text)
	}
	if left := h.must("DescribeSubscriptionFilters", object{"logGroupName": "g", "filterNamePrefix": "b"}); len(left["subscriptionFilters"].([]any)) != 1 {
		t.Errorf("%v", left)
	}
}

func TestPayload(t *testing.T) {
	b, err := Payload(&logs.Delivery{
		Scope: logs.Scope{Account: testAccount, Region: testRegion}, Stream: "s", Subscription: logs.Subscription{Name: "f", Group: "g"},
		Events: []logs.Delivered{{ID: "1", Time: 2, Message: "<m>"}, {ID: "3", Time: 4, Message: "a b", Fields: map[string]string{"x": "a"}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	var event struct {
		Logs struct{ Data []byte } `json:"awslogs"`
	}
	if err := json.Unmarshal(b, &event); err != nil {
		t.Fatal(err)
	}
	z, err := gzip.NewReader(bytes.NewReader(event.Logs.Data))
	if err != nil {
		t.Fatal(err, base64.StdEncoding.EncodeToString(event.Logs.Data))
	}
	text, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"messageType":"DATA_MESSAGE","owner":"111111111111","logGroup":"g","logStream":"s","subscriptionFilters":["f"],"logEvents":[` +
		`{"id":"1","timestamp":2,"message":"\u003cm\u003e"},{"id":"3","timestamp":4,"message":"a b","extractedFields":{"x":"a"}}]}` + "\n"
	if string(text) != want {
		t.Errorf("got  %s\nwant %s", text, want)
	}
}
