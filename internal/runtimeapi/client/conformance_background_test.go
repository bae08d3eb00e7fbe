package client

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
)

// What a handler has begun goes on, and is there in the next invoke: promises, threads.
func testBackground(t *testing.T, l language) {
	p := start(t, l, l.handler("leftover"))
	if v := p.value(`"start"`); v != "0" {
		t.Fatal("the answer waited:", v)
	}
	if v := p.value(`"look"`); v != `["done"]` && v != `[ "done" ]` {
		t.Fatal(v)
	}
	p.idle()
	if log := p.log.String(); strings.Count(log, "from the background\n") != 1 {
		t.Errorf("%q", log)
	}
}

// An error that nobody looks at ends Node.js, between invokes as well. Elsewhere a thread dies and says so.
func testBackgroundFailure(t *testing.T, l language) {
	p := start(t, l, l.handler("leftover_fails"))
	equalJSON(t, p.value(`"start"`), `"start"`)
	if l.name == "nodejs" {
		<-p.ended
		if code := p.cmd.ProcessState.ExitCode(); code != 128 {
			t.Error(code)
		}
		if log := p.log.String(); !strings.Contains(log, "Unhandled Promise Rejection") || !strings.Contains(log, "nobody looks") {
			t.Errorf("%q", log)
		}
		return
	}
	equalJSON(t, p.value(`"go on"`), `"go on"`)
	for range 500 { // a thread writes its end when it likes
		if strings.Contains(p.log.String(), "nobody looks") {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Errorf("%q", p.log)
}

// Every documented member of the context.
func testWholeContext(t *testing.T, l language) {
	p := start(t, l, l.handler("every"))
	inv := invocation(`{}`)
	inv.ClientContext = `{"client":{"installation_id":"i1","app_title":"título","app_version_name":"v","app_version_code":"9","app_package_name":"p.q"},` +
		`"custom":{"k":"é"},"env":{"locale":"pt"},"services":{"s":{}}}`
	inv.CognitoIdentity = `{"cognitoIdentityId":"us-east-1:i","cognitoIdentityPoolId":"us-east-1:p"}`
	inv.TenantID = "blue"
	equalJSON(t, string(p.send(inv).Payload), `{
		"id":"`+string(testID)+`","arn":"`+testARN+`","name":"fn","version":"7","memory":"512","group":"/aws/lambda/fn","stream":"2026/01/01/[7]abc",
		"tenant":"blue","identity":"us-east-1:i","pool":"us-east-1:p","custom":{"k":"é"},"env":{"locale":"pt"},
		"installation":"i1","title":"título","versionName":"v","versionCode":"9","package":"p.q"}`)
	p = start(t, l, l.handler("context"))
	inv = invocation(`{}`)
	inv.Deadline = time.Now().Add(-time.Minute)
	var c struct{ Remaining int }
	if err := json.Unmarshal(p.send(inv).Payload, &c); err != nil {
		t.Fatal(err)
	}
	// Node.js subtracts and no more, as on AWS; the others stop at zero.
	if c.Remaining > 0 || l.name != "nodejs" && c.Remaining != 0 {
		t.Error("remaining behind the deadline:", c.Remaining)
	}
}

// Resources that are closed behind an await, with AsyncIO, async iterators, threads and futures.
func testManaged(t *testing.T, l language) {
	p := start(t, l, l.handler("managed"))
	for range 2 {
		equalJSON(t, p.value(`"é"`), `["enter","é","exit"]`)
	}
}
