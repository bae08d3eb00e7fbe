package logs

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

func (h *house) put(stream string, events ...object) object {
	h.Helper()
	return h.must("PutLogEvents", object{"logGroupName": "g", "logStreamName": stream, "logEvents": events})
}

func (h *house) messages(out object) (all []string) {
	h.Helper()
	for _, e := range out["events"].([]any) {
		all = append(all, e.(object)["message"].(string))
	}
	return all
}

func TestLifeOfAGroup(t *testing.T) {
	h := newHouse(t, nil)
	h.must("CreateLogGroup", object{"logGroupName": "/aws/lambda/f", "tags": object{"a": "1"}})
	h.must("PutRetentionPolicy", object{"logGroupName": "/aws/lambda/f", "retentionInDays": 14})
	out := h.must("DescribeLogGroups", object{"logGroupNamePrefix": "/aws/lambda/f"})
	group := out["logGroups"].([]any)[0].(object)
	arn, _ := group["logGroupArn"].(string)
	if group["retentionInDays"] != 14.0 || arn != "arn:aws:logs:us-east-1:111111111111:log-group:/aws/lambda/f" || group["arn"] != arn+":*" {
		t.Errorf("group %v", group)
	}
	h.must("TagResource", object{"resourceArn": arn, "tags": object{"b": "2"}})
	h.must("UntagResource", object{"resourceArn": arn, "tagKeys": []string{"a"}})
	if tags := h.must("ListTagsForResource", object{"resourceArn": arn})["tags"]; fmt.Sprint(tags) != "map[b:2]" {
		t.Errorf("tags %v", tags)
	}
	h.must("UntagLogGroup", object{"logGroupName": "/aws/lambda/f", "tags": []string{"b"}})
	if tags := h.must("ListTagsForResource", object{"resourceArn": arn})["tags"]; fmt.Sprint(tags) != "map[]" {
		t.Errorf("no tags are shown as %v", tags)
	}
	h.must("DeleteRetentionPolicy", object{"logGroupName": "/aws/lambda/f"})
	out = h.must("DescribeLogGroups", object{"logGroupIdentifiers": []string{arn}})
	if _, has := out["logGroups"].([]any)[0].(object)["retentionInDays"]; has {
		t.Error("retention is shown after its deletion")
	}
	h.must("PutLogGroupDeletionProtection", object{"logGroupIdentifier": arn, "deletionProtectionEnabled": true})
	if code, _ := h.refused("DeleteLogGroup", object{"logGroupName": "/aws/lambda/f"}); code != "ValidationException" {
		t.Errorf("deletion of a protected group: %s", code)
	}
	h.must("PutLogGroupDeletionProtection", object{"logGroupIdentifier": "/aws/lambda/f", "deletionProtectionEnabled": false})
	h.must("DeleteLogGroup", object{"logGroupName": "/aws/lambda/f"})
	if out := h.must("DescribeLogGroups", object{}); len(out["logGroups"].([]any)) != 0 {
		t.Errorf("after deletion: %v", out)
	}
}

func TestStoredBytes(t *testing.T) {
	h := newHouse(t, nil)
	h.stream("g", "s")
	group := func() object { return h.must("DescribeLogGroups", object{})["logGroups"].([]any)[0].(object) }
	if stored, has := group()["storedBytes"]; has {
		t.Errorf("an empty group stores %v", stored)
	}
	now := h.clock.Load()
	h.put("s", object{"timestamp": now, "message": strings.Repeat("x", 1000)})
	if stored, _ := group()["storedBytes"].(float64); stored < 1000 || stored > 1100 {
		t.Errorf("a group with 1000 bytes stores %v", group()["storedBytes"])
	}
	stream := h.must("DescribeLogStreams", object{"logGroupName": "g"})["logStreams"].([]any)[0].(object)
	if stream["firstEventTimestamp"] != float64(now) || stream["lastEventTimestamp"] != float64(now) || stream["lastIngestionTime"] == nil ||
		stream["storedBytes"] != 0.0 || stream["uploadSequenceToken"] == nil || stream["creationTime"] == nil {
		t.Errorf("stream %v", stream)
	}
}

func TestRefusals(t *testing.T) {
	h := newHouse(t, nil)
	h.stream("g", "s")
	tags := object{}
	for i := range 50 {
		tags[fmt.Sprint("k", i)] = "v"
	}
	h.must("TagLogGroup", object{"logGroupName": "g", "tags": tags})
	arn := "arn:aws:logs:us-east-1:111111111111:log-group:g"
	for _, c := range []struct {
		operation string
		in        object
		code      string
		message   string // a part of it
	}{
		{"CreateLogGroup", object{"logGroupName": "x", "kmsKeyId": "arn:aws:kms:us-east-1:111111111111:key/k"}, "InvalidParameterException", "KMS"},
		{"CreateLogGroup", object{"logGroupName": "x", "logGroupClass": "INFREQUENT_ACCESS"}, "InvalidParameterException", "INFREQUENT_ACCESS"},
		{"CreateLogGroup", object{"logGroupName": "aws/x"}, "InvalidParameterException", "Log groups starting with AWS/ are reserved for AWS."},
		{"CreateLogGroup", object{"logGroupName": "a b"}, "InvalidParameterException", "regular expression pattern"},
		{"CreateLogStream", object{"logGroupName": "none", "logStreamName": "s"}, "ResourceNotFoundException", "log group"},
		{"CreateLogStream", object{"logGroupName": "g", "logStreamName": "s"}, "ResourceAlreadyExistsException", "log stream already exists"},
		{"CreateLogStream", object{"logGroupName": "g", "logStreamName": "a:b"}, "InvalidParameterException", "pattern"},
		{"DeleteLogStream", object{"logGroupName": "g", "logStreamName": "none"}, "ResourceNotFoundException", noStream},
		{"DeleteLogGroup", object{"logGroupName": "none"}, "ResourceNotFoundException", noGroup},
		{"PutRetentionPolicy", object{"logGroupName": "g", "retentionInDays": 2}, "InvalidParameterException", "Value '2' at 'retentionInDays'"},
		{"PutRetentionPolicy", object{"logGroupName": "none", "retentionInDays": 1}, "ResourceNotFoundException", noGroup},
		{"TagResource", object{"resourceArn": arn, "tags": object{"one": "more"}}, "TooManyTagsException", "tags"},
		{"TagResource", object{"resourceArn": arn, "tags": object{"aws:x": "y"}}, "InvalidParameterException", "aws:"},
		{"TagResource", object{"resourceArn": strings.Replace(arn, "111111111111", "222222222222", 1), "tags": object{"a": "b"}}, "ResourceNotFoundException", "resource"},
		{"TagLogGroup", object{"logGroupName": "g", "tags": object{"one": "more"}}, "InvalidParameterException", "tags"},
		{"DescribeLogGroups", object{"nextToken": "!"}, "InvalidParameterException", badToken},
		{"DescribeLogStreams", object{}, "InvalidParameterException", "must be specified"},
		{"DescribeLogStreams", object{"logGroupName": "g", "logGroupIdentifier": "g"}, "InvalidParameterException", "mutually exclusive"},
		{"DescribeLogStreams", object{"logGroupName": "g", "orderBy": "LastEventTime", "logStreamNamePrefix": "s"}, "InvalidParameterException", "LastEventTime"},
		{"DescribeLogStreams", object{"logGroupName": "g", "nextToken": "x"}, "InvalidParameterException", badToken},
		{"FilterLogEvents", object{"logGroupName": "g", "filterPattern": "a.b"}, "InvalidParameterException", "Invalid character(s) in term 'a.b'"},
		{"FilterLogEvents", object{"logGroupName": "g", "filterPattern": "{ x }"}, "InvalidParameterException", "Invalid filter pattern"},
		{"FilterLogEvents", object{"logGroupName": "g", "logStreamNames": []string{"s"}, "logStreamNamePrefix": "s"}, "InvalidParameterException", "mutually exclusive"},
		{"FilterLogEvents", object{"logGroupName": "g", "logStreamNames": []string{"none"}}, "ResourceNotFoundException", noStream},
		{"FilterLogEvents", object{"logGroupIdentifier": strings.Replace(arn, "us-east-1", "us-west-2", 1)}, "ResourceNotFoundException", noGroup},
		{"PutMetricFilter", filter("g", "f", "[", "1"), "InvalidParameterException", "Invalid filter pattern"},
		{"PutMetricFilter", filter("g", "f", "x", "many"), "InvalidParameterException", "metricValue"},
		{"PutMetricFilter", withDimensions(object{"a": "$.a", "b": "$.b", "c": "$.c", "d": "$.d"}), "InvalidParameterException", "at most 3 dimensions"},
		{"PutMetricFilter", withDimensions(object{"a": "a"}), "InvalidParameterException", "dimension"},
		{"PutMetricFilter", filter("none", "f", "x", "1"), "ResourceNotFoundException", noGroup},
		{"DeleteMetricFilter", object{"logGroupName": "g", "filterName": "none"}, "ResourceNotFoundException", "metric filter"},
		{"DescribeMetricFilters", object{"metricName": "m"}, "InvalidParameterException", "metricNamespace"},
		{"PutLogEvents", object{"logGroupName": "g", "logStreamName": "s", "logEvents": []object{}}, "InvalidParameterException", "at 'logEvents'"},
		{"PutLogEvents", object{"logGroupName": "g", "logStreamName": "s", "logEvents": []object{h.event(0, "a"), h.event(86_400_001, "b")}}, "InvalidParameterException", "24 hours"},
		{"PutLogEvents", object{"logGroupName": "g", "logStreamName": "s", "logEvents": []object{h.event(0, strings.Repeat("x", 1<<20-25))}}, "InvalidParameterException", "Upload too large: 1048577 bytes"},
	} {
		code, message := h.refused(c.operation, c.in)
		if code != c.code || !strings.Contains(message, c.message) {
			t.Errorf("%s %v: %s %q, want %s %q", c.operation, c.in, code, message, c.code, c.message)
		}
	}
}

func withDimensions(dimensions object) object {
	in := filter("g", "f", "{ $.a = * }", "1")
	in["metricTransformations"].([]object)[0]["dimensions"] = dimensions
	return in
}

func TestPutLogEventsTakesWhatIsInTime(t *testing.T) {
	h := newHouse(t, nil)
	h.stream("g", "s")
	day := (24 * time.Hour).Milliseconds()
	h.put("s", h.event(0, strings.Repeat("x", 1<<20-26))) // as big as can be
	if out := h.put("s", h.event(-14*day-1, "too old"), h.event(-14*day, "old")); fmt.Sprint(out["rejectedLogEventsInfo"]) != "map[tooOldLogEventEndIndex:1]" {
		t.Errorf("rejected %v", out["rejectedLogEventsInfo"])
	}
	if out := h.put("s", h.event(7_200_000, "new"), h.event(7_200_001, "too new")); fmt.Sprint(out["rejectedLogEventsInfo"]) != "map[tooNewLogEventStartIndex:1]" {
		t.Errorf("rejected %v", out["rejectedLogEventsInfo"])
	}
	h.must("PutRetentionPolicy", object{"logGroupName": "g", "retentionInDays": 1})
	if out := h.put("s", h.event(-day-1, "expired"), h.event(-day+1, "kept")); fmt.Sprint(out["rejectedLogEventsInfo"]) != "map[expiredLogEventEndIndex:1]" {
		t.Errorf("rejected %v", out["rejectedLogEventsInfo"])
	}
	h.must("DeleteRetentionPolicy", object{"logGroupName": "g"})
	got := h.messages(h.must("GetLogEvents", object{"logGroupName": "g", "logStreamName": "s", "startFromHead": true, "endTime": h.clock.Load()}))
	if fmt.Sprint(got) != "[old kept]" {
		t.Errorf("kept %v", got)
	}
	stream := h.must("DescribeLogStreams", object{"logGroupName": "g"})["logStreams"].([]any)[0].(object)
	if stream["firstEventTimestamp"] != float64(h.clock.Load()-14*day) || stream["lastEventTimestamp"] != float64(h.clock.Load()+7_200_000) {
		t.Errorf("stream %v", stream)
	}
}

// TestTailFollow polls as `aws logs tail --follow` does: from the last time seen,
// leaving out the event ids it knows.
func TestTailFollow(t *testing.T) {
	h := newHouse(t, nil)
	h.stream("g", "a")
	h.stream("g2", "a")
	h.must("CreateLogStream", object{"logGroupName": "g", "logStreamName": "b"})
	start := h.clock.Load()
	seen := make(map[string]bool)
	var told []string
	poll := func() {
		in := object{"logGroupName": "g", "startTime": start, "interleaved": true, "filterPattern": "-noise", "limit": 2}
		for {
			out := h.must("FilterLogEvents", in)
			for _, e := range out["events"].([]any) {
				e := e.(object)
				if id := e["eventId"].(string); !seen[id] {
					seen[id] = true
					told = append(told, e["message"].(string))
				}
				start = max(start, int64(e["timestamp"].(float64)))
			}
			if out["nextToken"] == nil {
				return
			}
			in["nextToken"] = out["nextToken"]
		}
	}
	h.put("a", h.event(0, "1"), h.event(2, "3"), h.event(2, "4"))
	h.put("b", h.event(1, "2"), h.event(1, "noise"))
	poll()
	h.put("b", h.event(2, "5"), h.event(9, "7"))
	h.put("a", h.event(3, "6"))
	poll()
	poll()
	if fmt.Sprint(told) != "[1 2 3 4 5 6 7]" {
		t.Errorf("told %v", told)
	}
}

func TestTestMetricFilter(t *testing.T) {
	h := newHouse(t, nil)
	out := h.must("TestMetricFilter", object{"filterPattern": "[ip, status=4*]", "logEventMessages": []string{"1.1.1.1 200", "2.2.2.2 404"}})
	if fmt.Sprint(out["matches"]) != "[map[eventMessage:2.2.2.2 404 eventNumber:2 extractedValues:map[$ip:2.2.2.2 $status:404]]]" {
		t.Errorf("matches %v", out["matches"])
	}
}

func TestMetricFilterPages(t *testing.T) {
	h := newHouse(t, nil)
	h.must("CreateLogGroup", object{"logGroupName": "g"})
	for i := range 100 {
		h.must("PutMetricFilter", filter("g", fmt.Sprintf("f%02d", i), "x", "1"))
	}
	if code, _ := h.refused("PutMetricFilter", filter("g", "one more", "x", "1")); code != "LimitExceededException" {
		t.Errorf("filter 101: %s", code)
	}
	h.must("PutMetricFilter", filter("g", "f00", "y", "1"))
	count, in := 0, object{"logGroupName": "g", "limit": 30}
	for {
		out := h.must("DescribeMetricFilters", in)
		count += len(out["metricFilters"].([]any))
		if out["nextToken"] == nil {
			break
		}
		in["nextToken"] = out["nextToken"]
	}
	if count != 100 {
		t.Errorf("%d filters in all pages", count)
	}
	h.must("DeleteMetricFilter", object{"logGroupName": "g", "filterName": "f00"})
	if g := h.must("DescribeLogGroups", object{})["logGroups"].([]any)[0].(object); g["metricFilterCount"] != 99.0 {
		t.Errorf("group counts %v", g["metricFilterCount"])
	}
}
