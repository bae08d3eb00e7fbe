package recorded_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"github.com/lambdad/lambdad/test/house"
	"github.com/lambdad/lambdad/test/recorded"
)

// echoHTTP returns what it sees of a request to its URL, without what begins with x- if asked.
const echoHTTP = `
import json

def handler(event, context):
    headers = {k: v for k, v in event["headers"].items() if not (%s and k.startswith("x-"))}
    context = event["requestContext"]
    return {"statusCode": 200, "body": json.dumps({
        "args": event.get("queryStringParameters") or {}, "data": json.loads(event["body"]), "domain": context["domainName"], "headers": headers,
        "method": context["http"]["method"], "origin": context["http"]["sourceIp"], "path": event["rawPath"]})}
`

// TestRecordedUse makes the requests behind what was recorded of URLs, aliases and limits in use.
func TestRecordedUse(t *testing.T) {
	h := house.Start(t)
	u := &user{client: newClient(t, h)}
	suite := &recorded.Suite{
		Service: "Lambda, functions in use", File: "testdata/used.json", Account: "000000000000", Region: h.Region,
		Exceptions: []recorded.Exception{
			{Case: "test_lambda_url_echo_http_fixture_default", Difference: `headers\.x-amzn-tls-|^url_response|^path`, Reason: "net/http refuses a path with a bad escape, so another one is asked for; over plain HTTP there are no headers of TLS"},
		},
	}
	i := 0
	suite.Run(t, func(t *testing.T, rec recorded.Case) map[string]any {
		i++
		u.name = fmt.Sprintf("used-%d", i)
		return u.ask(t, rec)
	})
}

// user asks what a case recorded, of a function of its own.
type user struct {
	*client
	name string
}

const functions = "/2015-03-31/functions/"

func (u *user) function(t *testing.T, runtime, handler string, more map[string]any, files map[string]string) {
	t.Helper()
	in := map[string]any{"FunctionName": u.name, "Runtime": runtime, "Handler": handler, "Timeout": 30}
	for k, v := range more {
		in[k] = v
	}
	if answer := u.create(t, in, files); answer["State"] != "Pending" {
		t.Fatalf("create: %v", answer)
	}
	u.wait(t, u.name)
}

func (u *user) python(t *testing.T, source string) {
	t.Helper()
	u.function(t, "python3.12", "handler.handler", nil, map[string]string{"handler.py": source})
}

// url makes a URL of the function, or of a qualifier, and permits it to all.
func (u *user) url(t *testing.T, in map[string]any, qualifier string) (created, permission map[string]any) {
	t.Helper()
	query := ""
	if qualifier != "" {
		query = "?Qualifier=" + qualifier
	}
	in["AuthType"] = "NONE"
	created = u.call(t, "POST", "/2021-10-31/functions/"+u.name+"/url"+query, in)
	permission = u.call(t, "POST", functions+u.name+"/policy"+query, map[string]any{"StatementId": "urlPermission", "Action": "lambda:InvokeFunctionUrl", "Principal": "*", "FunctionUrlAuthType": "NONE"})
	// The recordings are of before URLs wanted this, too.
	u.call(t, "POST", functions+u.name+"/policy"+query, map[string]any{"StatementId": "invoke", "Action": "lambda:InvokeFunction", "Principal": "*", "InvokedViaFunctionUrl": true})
	return created, permission
}

func get(t *testing.T, url string) (*http.Response, string) {
	t.Helper()
	return send(t, http.MethodGet, url, nil, "")
}

func send(t *testing.T, method, url string, header http.Header, body string) (*http.Response, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for name, values := range header {
		request.Header[name] = values
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response, string(text)
}

func decoded(t *testing.T, text string) (v any) {
	t.Helper()
	if err := json.NewDecoder(bytes.NewReader([]byte(text))).Decode(&v); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	return v
}

func (u *user) ask(t *testing.T, rec recorded.Case) map[string]any {
	t.Helper()
	const hi = "def handler(event, context):\n    return 'hi'\n"
	switch rec.Function() {
	case "test_lambda_alias_moving":
		return u.aliasMoving(t)
	case "test_reserved_concurrency":
		return u.noneReserved(t)
	case "test_reserved_concurrency_async_queue":
		u.python(t, "import time\ndef handler(event, context):\n    time.sleep(event.get('wait', 0))\n")
		got := map[string]any{"put_fn_concurrency": u.call(t, "PUT", "/2017-10-31/functions/"+u.name+"/concurrency", map[string]any{"ReservedConcurrentExecutions": 1})}
		done := make(chan struct{})
		go func() {
			defer close(done)
			for u.invoke(t, u.name, "", nil, []byte(`{"wait": 3}`))["Error"] != nil {
				time.Sleep(10 * time.Millisecond) // it came while the other one ran
			}
		}()
		defer func() { <-done }()
		for range 100 {
			answer := u.invoke(t, u.name, "", nil, nil)
			if answer["Error"] != nil {
				got["too_many_requests_exc"] = answer
				break
			}
			time.Sleep(20 * time.Millisecond)
		}
		return got
	case "test_invocation_type_event":
		u.python(t, hi)
		return map[string]any{"invoke-result": u.event(t)}
	case "test_invocation_type_event_error":
		u.python(t, "def handler(event, context):\n    raise Exception('some error occurred')\n")
		return map[string]any{"invocation_response": u.event(t)}
	case "test_lambda_permission_url_invocation":
		u.python(t, hi)
		created := u.call(t, "POST", "/2021-10-31/functions/"+u.name+"/url", map[string]any{"AuthType": "NONE"})
		_, text := get(t, created["FunctionUrl"].(string))
		return map[string]any{"lambda_url_invocation_missing_permission": decoded(t, text)}
	case "test_function_url_with_response_streaming":
		u.function(t, "nodejs20.x", "index.handler", nil, map[string]string{"index.js": "exports.handler = awslambda.streamifyResponse(async (event, out) => {\n" +
			"  out = awslambda.HttpResponseStream.from(out, { statusCode: 200 });\n  for (const part of ['Hello, ', 'world', '!']) out.write(part);\n  out.end();\n});\n"})
		created, _ := u.url(t, map[string]any{"InvokeMode": "RESPONSE_STREAM"}, "")
		response, text := get(t, created["FunctionUrl"].(string))
		return map[string]any{"response_status": response.StatusCode, "response_data": text}
	case "test_lambda_url_echo_http_fixture_default":
		u.python(t, fmt.Sprintf(echoHTTP, "False"))
		return map[string]any{"url_response": u.echoed(t, "pa2%25Fth/1?q=query&multiQuery=foo&multiQuery=%2Fbar")}
	case "test_lambda_url_echo_http_fixture_trim_x_headers":
		u.python(t, fmt.Sprintf(echoHTTP, "True"))
		return map[string]any{"url_response": u.echoed(t, "path/1?q=query")}
	case "test_lambda_url_echo_invoke":
		u.python(t, hi)
		in := map[string]any{}
		if mode := rec.Parameter(); mode != "None" {
			in["InvokeMode"] = mode
		}
		created, permission := u.url(t, in, "")
		return map[string]any{"create_lambda_url_config": created, "add_permission": statement(t, permission)}
	case "test_lambda_url_persists_after_alias_delete":
		u.python(t, hi)
		u.call(t, "POST", functions+u.name+"/versions", map[string]any{})
		u.call(t, "POST", functions+u.name+"/aliases", map[string]any{"Name": "live", "FunctionVersion": "1"})
		created, _ := u.url(t, map[string]any{"InvokeMode": "BUFFERED"}, "live")
		at := created["FunctionUrl"].(string)
		before, _ := get(t, at)
		got := map[string]any{"create_lambda_url_config": created, "invoke_aliased_url_response": map[string]any{"status_code": before.StatusCode}}
		got["delete_alias_resp"] = u.call(t, "DELETE", functions+u.name+"/aliases/live", nil)
		after, text := get(t, at)
		for i := 0; after.StatusCode == http.StatusOK && i < 100; i++ { // what was recorded came "delayed", too
			time.Sleep(20 * time.Millisecond)
			after, text = get(t, at)
		}
		got["invoke_deleted_alias_url_response_delayed"] = map[string]any{
			"status_code": after.StatusCode, "content": decoded(t, text), "headers": map[string]any{"x-amzn-ErrorType": after.Header.Get("X-Amzn-Errortype")},
		}
		return got
	case "test_lambda_different_iam_keys_environment":
		return map[string]any{"create-result": map[string]any{"CreateEventSourceMappingResponse": nil, "CreateFunctionResponse": u.create(t, map[string]any{
			"FunctionName": u.name, "Runtime": "python3.12", "Handler": "handler.handler", "Timeout": 30, "Environment": map[string]any{"Variables": map[string]any{}},
		}, map[string]string{"handler.py": hi})}}
	case "test_async_invoke_queue_upon_function_update":
		return u.updatedBeforeEvents(t)
	case "test_function_update_during_invoke":
		return u.updated(t)
	case "test_request_id_invoke_url":
		u.python(t, hi)
		created, permission := u.url(t, map[string]any{}, "")
		response, text := get(t, created["FunctionUrl"].(string))
		var ends []string
		for _, line := range u.sdk.With(t).LogLines(u.name, "END RequestId") {
			if strings.HasPrefix(line, "END ") {
				ends = append(ends, strings.TrimSpace(line))
			}
		}
		return map[string]any{
			"create_lambda_url_config": created, "add_permission": statement(t, permission), "end_log_entries": ends,
			"lambda_url_invocation": map[string]any{"statuscode": response.StatusCode, "content": text, "headers": map[string]any{"x-amzn-RequestId": response.Header.Get("X-Amzn-Requestid")}},
		}
	case "test_get_function_wrong_region":
		answer := u.invoke(t, "arn:aws:lambda:eu-central-1:000000000000:function:"+u.name, "", nil, nil)
		return map[string]any{"wrong_region_exception": generalised(answer, "eu-central-1")}
	}
	t.Fatalf("no requests are written for %s", rec.Name)
	return nil
}

// generalised puts the placeholder of the recording in a region's place.
func generalised(answer map[string]any, region string) any {
	text, err := json.Marshal(answer)
	if err != nil {
		panic("an answer that cannot be JSON: " + err.Error())
	}
	var out any
	if err := json.Unmarshal([]byte(strings.ReplaceAll(string(text), region, "wrong")), &out); err != nil {
		panic("an answer that was JSON: " + err.Error())
	}
	return out
}

// statement decodes the statement of AddPermission's answer, as the recorder did.
func statement(t *testing.T, answer map[string]any) map[string]any {
	t.Helper()
	text, _ := answer["Statement"].(string)
	answer["Statement"] = decoded(t, text)
	return answer
}

func (u *user) event(t *testing.T) map[string]any {
	t.Helper()
	return u.invoke(t, u.name, "", map[string]string{"X-Amz-Invocation-Type": "Event"}, []byte("{}"))
}

// soon invokes until the answer is as wanted: the invoke door learns of a change a moment after it was
// answered, as on AWS.
func (u *user) soon(t *testing.T, qualifier string, wanted func(map[string]any) bool) (answer map[string]any) {
	t.Helper()
	for range 100 {
		if answer = u.invoke(t, u.name, qualifier, nil, nil); wanted(answer) {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	return answer
}

func (u *user) echoed(t *testing.T, target string) any {
	t.Helper()
	created, _ := u.url(t, map[string]any{}, "")
	_, text := send(t, http.MethodPost, created["FunctionUrl"].(string)+target, http.Header{
		"Content-Type": {"application/json"}, "User-Agent": {"test/echo"}, "Extra-Headers": {"With WeiRd CapS"}, "Accept": {"*/*"}, "Accept-Encoding": {"gzip, deflate"},
	}, `{"foo": "bar"}`)
	return decoded(t, text)
}

func (u *user) aliasMoving(t *testing.T) map[string]any {
	t.Helper()
	code := func(id string) map[string]string {
		return map[string]string{"handler.py": "def handler(event, context):\n    return {'invoked_arn': context.invoked_function_arn, 'version_from_ctx': context.function_version, 'version_id': '" + id + "'}\n"}
	}
	u.function(t, "python3.12", "handler.handler", nil, code("version1"))
	publish := func() { u.call(t, "POST", functions+u.name+"/versions", map[string]any{}) }
	publish()
	got := map[string]any{"create_alias_response": u.call(t, "POST", functions+u.name+"/aliases", map[string]any{"Name": "alias1", "FunctionVersion": "1"})}
	got["invocation_result_qualifier_v1"] = u.invoke(t, u.name, "alias1", nil, nil)
	got["invocation_result_qualifier_v1_arn"] = u.invoke(t, "arn:aws:lambda:"+u.house.Region+":000000000000:function:"+u.name+":alias1", "", nil, nil)
	u.call(t, "PUT", functions+u.name+"/code", map[string]any{"ZipFile": house.Zip(t, code("version2"))})
	u.wait(t, u.name)
	got["invocation_result_qualifier_v1_after_update"] = u.invoke(t, u.name, "alias1", nil, nil)
	publish()
	got["invocation_result_qualifier_v1_after_publish"] = u.invoke(t, u.name, "alias1", nil, nil)
	got["update_alias_response"] = u.call(t, "PUT", functions+u.name+"/aliases/alias1", map[string]any{"FunctionVersion": "2"})
	got["invocation_result_qualifier_v2"] = u.soon(t, "alias1", func(answer map[string]any) bool { return answer["ExecutedVersion"] == "2" })
	got["invocation_exc_not_existent"] = u.invoke(t, u.name, "non-existent-alias", nil, nil)
	return got
}

// noneReserved reserves nothing for a function, whose event then goes to a queue.
func (u *user) noneReserved(t *testing.T) map[string]any {
	t.Helper()
	ctx := t.Context()
	u.python(t, "def handler(event, context):\n    return 1\n")
	_, err := u.sdk.IAM.PutRolePolicy(ctx, &iam.PutRolePolicyInput{
		RoleName: aws.String("story"), PolicyName: aws.String("send"), PolicyDocument: aws.String(`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"sqs:SendMessage","Resource":"*"}}`),
	})
	if err != nil {
		t.Fatal(err)
	}
	queues := sqs.NewFromConfig(u.sdk.Config)
	queue, err := queues.CreateQueue(ctx, &sqs.CreateQueueInput{QueueName: aws.String("failed-" + u.name)})
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]any{"put_reserved": u.call(t, "PUT", "/2017-10-31/functions/"+u.name+"/concurrency", map[string]any{"ReservedConcurrentExecutions": 0})}
	got["exc_no_cap_requestresponse"] = u.soon(t, "", func(answer map[string]any) bool { return answer["Error"] != nil })
	config := u.call(t, "PUT", "/2019-09-25/functions/"+u.name+"/event-invoke-config", map[string]any{
		"MaximumRetryAttempts": 0, "DestinationConfig": map[string]any{"OnFailure": map[string]any{"Destination": "arn:aws:sqs:" + u.house.Region + ":000000000000:failed-" + u.name}},
	})
	if at, ok := config["LastModified"].(float64); ok { // the recorder's client made a time of it
		config["LastModified"] = time.UnixMilli(int64(at * 1000)).UTC().Format("2006-01-02T15:04:05.000Z")
	}
	got["put_event_invoke_conf"], got["invoke_result"] = config, u.event(t)
	received, err := queues.ReceiveMessage(ctx, &sqs.ReceiveMessageInput{
		QueueUrl: queue.QueueUrl, WaitTimeSeconds: 20, MessageSystemAttributeNames: []types.MessageSystemAttributeName{types.MessageSystemAttributeNameAll},
	})
	if err != nil || len(received.Messages) != 1 {
		t.Fatalf("%v, %v", received, err)
	}
	m := received.Messages[0]
	attributes := map[string]any{}
	for k, v := range m.Attributes {
		attributes[k] = v
		if n, err := strconv.Atoi(v); err == nil && strings.HasSuffix(k, "Timestamp") {
			attributes[k] = n
		}
	}
	body, _ := decoded(t, *m.Body).(map[string]any)
	body["timestamp"] = strings.Replace(fmt.Sprint(body["timestamp"]), "Z", "+0000", 1) // the word in the recording stands for both
	got["msg"] = map[string]any{"Attributes": attributes, "Body": body, "MD5OfBody": *m.MD5OfBody, "MessageId": *m.MessageId, "ReceiptHandle": *m.ReceiptHandle}
	return got
}

// updated changes a function while it runs.
func (u *user) updated(t *testing.T) map[string]any {
	t.Helper()
	u.function(t, "python3.12", "handler.handler", map[string]any{"Environment": map[string]any{"Variables": map[string]any{"VARIANT": "variant-1"}}}, map[string]string{"handler.py": `
import os, time

def handler(event, context):
    time.sleep(2)
    return {"function_variant": os.environ["VARIANT"], "function_version": context.function_version, "request_id": context.aws_request_id, "request_prefix": event["prefix"]}
`})
	before := make(chan map[string]any, 1)
	go func() { before <- u.invoke(t, u.name, "", nil, []byte(`{"prefix": "1-sleep"}`)) }()
	time.Sleep(time.Second) // it runs by now, or starts as it was: both are what is asked for
	u.call(t, "PUT", functions+u.name+"/configuration", map[string]any{"Environment": map[string]any{"Variables": map[string]any{"VARIANT": "variant-2"}}})
	return map[string]any{"invoke_response_before": <-before}
}

// updatedBeforeEvents changes a function while one event runs and others wait, since it may run once at a time.
func (u *user) updatedBeforeEvents(t *testing.T) map[string]any {
	t.Helper()
	variant := func(name string) map[string]any {
		return map[string]any{"Environment": map[string]any{"Variables": map[string]any{"VARIANT": name}}}
	}
	u.function(t, "python3.12", "handler.handler", variant("variant-1"), map[string]string{"handler.py": `
import os, time

def handler(event, context):
    print("RAN " + event["prefix"] + "-" + os.environ["VARIANT"])
    if "sleep" in event["prefix"]:
        time.sleep(3)
`})
	u.call(t, "PUT", "/2017-10-31/functions/"+u.name+"/concurrency", map[string]any{"ReservedConcurrentExecutions": 1})
	sent := 0
	send := func(kind string, n int) {
		for range n {
			sent++
			u.invoke(t, u.name, "", map[string]string{"X-Amz-Invocation-Type": "Event"}, fmt.Appendf(nil, `{"prefix": "%02d-%s-"}`, sent, kind))
		}
	}
	send("sleep", 1)
	u.sdk.With(t).LogLines(u.name, "RAN 01")
	send("before", 9)
	u.call(t, "PUT", functions+u.name+"/configuration", variant("variant-2"))
	u.wait(t, u.name)
	send("after", 5)
	var history []string
	u.until(t, "not all events run", func() bool {
		history = nil
		for _, line := range u.sdk.With(t).LogLines(u.name, "RAN ") {
			if ran, ok := strings.CutPrefix(line, "RAN "); ok {
				history = append(history, strings.TrimSpace(ran))
			}
		}
		return len(history) >= sent
	})
	slices.Sort(history)
	return map[string]any{"async_invoke_history_sorted": history}
}
