package logs

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// answered waits for a query's end and returns GetQueryResults' answer.
func (h *house) answered(id any) object {
	h.Helper()
	for range 500 {
		out := h.must("GetQueryResults", object{"queryId": id})
		if s := out["status"]; s != queryScheduled && s != queryRunning {
			return out
		}
		time.Sleep(10 * time.Millisecond)
	}
	h.Fatalf("the query %v does not end", id)
	return nil
}

// queried starts a query over the hour around the clock, and returns its answer and its rows as text.
func (h *house) queried(in object) (answer object, rows string) {
	h.Helper()
	now := h.clock.Load() / 1000
	for name, v := range (object{"startTime": now - 1800, "endTime": now + 1800}) {
		if in[name] == nil {
			in[name] = v
		}
	}
	answer = h.answered(h.must("StartQuery", in)["queryId"])
	var all []string
	for _, row := range answer["results"].([]any) {
		var fields []string
		for _, f := range row.([]any) {
			if field := f.(object); field["field"] != "@ptr" {
				fields = append(fields, fmt.Sprintf("%v=%v", field["field"], field["value"]))
			}
		}
		all = append(all, strings.Join(fields, " "))
	}
	return answer, strings.Join(all, " / ")
}

func TestInsights(t *testing.T) {
	h := newHouse(t, nil)
	for _, group := range []string{"a", "b"} {
		h.stream(group, "s")
		h.must("PutLogEvents", object{"logGroupName": group, "logStreamName": "s", "logEvents": []object{
			h.event(0, `{"n": 1, "group": "`+group+`"}`), h.event(1000, `{"n": 2, "group": "`+group+`"}`), h.event(2000, "plain"),
		}})
	}
	answer, rows := h.queried(object{"logGroupName": "a", "queryString": `fields n, @log | filter n > 0 | sort n`})
	if rows != "n=1 @log=111111111111:a / n=2 @log=111111111111:a" || answer["status"] != "Complete" {
		t.Errorf("%v: %s", answer["status"], rows)
	}
	statistics := answer["statistics"].(object)
	if statistics["recordsMatched"] != 2.0 || statistics["recordsScanned"] != 3.0 || statistics["logGroupsScanned"] != 1.0 || statistics["bytesScanned"].(float64) < 40 {
		t.Errorf("%v", statistics)
	}
	if _, rows := h.queried(object{"logGroupNames": []string{"a", "b"}, "queryString": `stats sum(n) as s by group | filter ispresent(s) | sort group`}); rows != "group=a s=3 / group=b s=3" {
		t.Errorf("%s", rows)
	}
	if _, rows := h.queried(object{"logGroupIdentifiers": []string{"arn:aws:logs:us-east-1:111111111111:log-group:b"}, "queryString": `fields @message`, "limit": 1}); rows != "@message=plain" {
		t.Errorf("%s", rows)
	}
	now := h.clock.Load() / 1000
	if _, rows := h.queried(object{"logGroupName": "a", "queryString": `fields n | sort n`, "startTime": now, "endTime": now}); rows != "n=1" {
		t.Errorf("a second holds %s", rows)
	}

	// The pointer of a row finds the event, with all of its fields.
	answer, _ = h.queried(object{"logGroupName": "a", "queryString": `filter n = 2`})
	row := answer["results"].([]any)[0].([]any)
	pointer := row[len(row)-1].(object)["value"]
	record := h.must("GetLogRecord", object{"logRecordPointer": pointer})["logRecord"].(object)
	if record["n"] != "2" || record["group"] != "a" || record["@logStream"] != "s" || record["@ptr"] != pointer {
		t.Errorf("%v", record)
	}
	for _, pointer := range []string{"x", "YQ==", "YQBzADEy"} {
		if code, _ := h.refused("GetLogRecord", object{"logRecordPointer": pointer}); code != "InvalidParameterException" {
			t.Errorf("%s: %s", pointer, code)
		}
	}
	fields := h.must("GetLogGroupFields", object{"logGroupName": "a", "time": now})["logGroupFields"].([]any)
	if len(fields) != 8 || fields[0].(object)["percent"] != 100.0 || fields[7].(object)["percent"] != 66.0 {
		t.Errorf("%v", fields)
	}
}

func TestQueryFaults(t *testing.T) {
	h := newHouse(t, nil)
	h.must("CreateLogGroup", object{"logGroupName": "g"})
	for name, c := range map[string]struct {
		change object
		code   string
		text   string
	}{
		"no group":         {object{"logGroupName": "none"}, "ResourceNotFoundException", "Log group 'none' does not exist for account ID '111111111111'"},
		"two ways":         {object{"logGroupNames": []string{"g"}}, "InvalidParameterException", "Exactly one of"},
		"times":            {object{"startTime": 2, "endTime": 1}, "InvalidParameterException", "end time"},
		"syntax":           {object{"queryString": "fields a |"}, "MalformedQueryException", "unexpected end of the query"},
		"another language": {object{"queryLanguage": "SQL"}, "InvalidParameterException", "not supported here"},
		"limit":            {object{"limit": 100001}, "InvalidParameterException", "limit"},
		"foreign group":    {object{"logGroupName": nil, "logGroupIdentifiers": []string{"arn:aws:logs:us-east-1:222222222222:log-group:g"}}, "ResourceNotFoundException", "does not exist"},
	} {
		in := object{"logGroupName": "g", "startTime": 1, "endTime": 2, "queryString": "fields a"}
		for k, v := range c.change {
			in[k] = v
			if v == nil {
				delete(in, k)
			}
		}
		if code, text := h.refused("StartQuery", in); code != c.code || !strings.Contains(text, c.text) {
			t.Errorf("%s: %s: %s", name, code, text)
		}
	}
	for _, operation := range []string{"GetQueryResults", "StopQuery"} {
		if code, _ := h.refused(operation, object{"queryId": "none"}); code != "ResourceNotFoundException" {
			t.Errorf("%s: %s", operation, code)
		}
	}
	id := h.must("StartQuery", object{"logGroupName": "g", "startTime": 1, "endTime": 2, "queryString": "fields a"})["queryId"]
	h.answered(id)
	if code, text := h.refused("StopQuery", object{"queryId": id}); code != "InvalidParameterException" || !strings.Contains(text, "not running") {
		t.Errorf("%s: %s", code, text)
	}
}

// TestQueriesAtOnce fills the account's places with queries that wait, and stops them.
func TestQueriesAtOnce(t *testing.T) {
	h := newHouse(t, nil)
	h.must("CreateLogGroup", object{"logGroupName": "g"})
	slots := h.queries.slots
	for range cap(slots) {
		slots <- struct{}{} // nothing runs
	}
	in := object{"logGroupName": "g", "startTime": 1, "endTime": 2, "queryString": "fields a"}
	var ids []any
	for range queriesMax {
		ids = append(ids, h.must("StartQuery", in)["queryId"])
	}
	if code, _ := h.refused("StartQuery", in); code != "LimitExceededException" {
		t.Errorf("one more than %d: %s", queriesMax, code)
	}
	if all := h.must("DescribeQueries", object{"status": "Scheduled", "maxResults": 20}); len(all["queries"].([]any)) != 20 || all["queries"].([]any)[0].(object)["queryId"] != ids[queriesMax-1] {
		t.Errorf("%v", all)
	} else if rest := h.must("DescribeQueries", object{"nextToken": all["nextToken"]}); len(rest["queries"].([]any)) != queriesMax-20 || rest["nextToken"] != nil {
		t.Errorf("%v", rest)
	}
	for _, id := range ids[1:] {
		if h.must("StopQuery", object{"queryId": id})["success"] != true {
			t.Errorf("%v is not stopped", id)
		}
	}
	if got := h.must("GetQueryResults", object{"queryId": ids[1]}); got["status"] != "Cancelled" || len(got["results"].([]any)) != 0 {
		t.Errorf("%v", got)
	}
	<-slots
	if got := h.answered(ids[0]); got["status"] != "Complete" {
		t.Errorf("%v", got)
	}
	<-slots
}

func TestForgottenQueries(t *testing.T) {
	qs := newQueries(nil, nil)
	for i := range queriesKept + 5 {
		qs.all = append(qs.all, &query{id: fmt.Sprint(i), status: queryComplete, bytes: 1})
	}
	qs.all[0].status = queryRunning
	qs.forget()
	if len(qs.all) != queriesKept || qs.all[0].id != "0" || qs.all[1].id != "6" {
		t.Errorf("%d, first %s, %s", len(qs.all), qs.all[0].id, qs.all[1].id)
	}
	qs.all[len(qs.all)-1].bytes = resultsBytes + 1
	qs.forget()
	if len(qs.all) != 2 || qs.all[1].id != fmt.Sprint(queriesKept+4) {
		t.Errorf("%d are left", len(qs.all))
	}
}

func TestQueryDefinitions(t *testing.T) {
	h := newHouse(t, nil)
	put := func(in object) any { return h.must("PutQueryDefinition", in)["queryDefinitionId"] }
	b := put(object{"name": "b", "queryString": "fields b", "logGroupNames": []string{"g"}})
	a := put(object{"name": "a", "queryString": "fields a"})
	if again := put(object{"name": "c", "queryString": "fields c", "queryDefinitionId": b}); again != b {
		t.Errorf("%v became %v", b, again)
	}
	page := h.must("DescribeQueryDefinitions", object{"maxResults": 1})
	first := page["queryDefinitions"].([]any)[0].(object)
	if first["queryDefinitionId"] != a || first["name"] != "a" || first["queryString"] != "fields a" || first["lastModified"] == nil {
		t.Errorf("%v", first)
	}
	rest := h.must("DescribeQueryDefinitions", object{"nextToken": page["nextToken"]})
	if all := rest["queryDefinitions"].([]any); len(all) != 1 || all[0].(object)["name"] != "c" || rest["nextToken"] != nil {
		t.Errorf("%v", rest)
	}
	if all := h.must("DescribeQueryDefinitions", object{"queryDefinitionNamePrefix": "c"})["queryDefinitions"].([]any); len(all) != 1 {
		t.Errorf("%v", all)
	}
	if h.must("DeleteQueryDefinition", object{"queryDefinitionId": a})["success"] != true {
		t.Error("not deleted")
	}
	for operation, in := range map[string]object{
		"DeleteQueryDefinition": {"queryDefinitionId": a},
		"PutQueryDefinition":    {"name": "a", "queryString": "fields a", "queryDefinitionId": a},
	} {
		if code, _ := h.refused(operation, in); code != "ResourceNotFoundException" {
			t.Errorf("%s: %s", operation, code)
		}
	}
}
