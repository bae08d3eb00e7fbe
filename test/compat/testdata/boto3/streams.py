"""A story of streamed answers told with boto3. Its assertions are its own."""
import base64
import http.client
import io
import json
import time
import urllib.parse
import zipfile

import boto3

trust = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}]}
role = boto3.client("iam").create_role(RoleName="streams", AssumeRolePolicyDocument=json.dumps(trust))["Role"]["Arn"]
client = boto3.client("lambda")

source = """
const wait = (ms) => new Promise((done) => setTimeout(done, ms));
exports.streams = awslambda.streamifyResponse(async (event, out, context) => {
  if (event.before) throw new TypeError('too early');
  if (event.rawPath) {
    out = awslambda.HttpResponseStream.from(out, {
      statusCode: 201, headers: { 'content-type': 'text/plain', 'x-custom': event.rawPath }, cookies: ['a=b'],
    });
  }
  out.write('first ');
  await wait(1000);
  if (event.amid || event.rawPath === '/amid') throw new RangeError('too late');
  if (event.exit) process.exit(3);
  if (event.long) await wait(60000);
  if (event.big) for (let i = 0; i < event.big; i++) {
    if (!out.write(Buffer.alloc(1 << 20, 'x'))) await new Promise((done) => out.once('drain', done));
  }
  out.write(String(Date.now()));
  out.end();
});
exports.whole = async (event) => ({ whole: true });
"""
archive = io.BytesIO()
with zipfile.ZipFile(archive, "w") as z:
    z.writestr("index.js", source)
for name in ("streams", "whole"):
    client.create_function(
        FunctionName=name, Runtime="nodejs20.x", Handler="index." + name, Role=role, Timeout=8,
        Code={"ZipFile": archive.getvalue()})
    client.get_waiter("function_active_v2").wait(FunctionName=name)


def invoke(name="streams", event=None, **more):
    """Returns the parts with the time that each came, and the last event."""
    answer = client.invoke_with_response_stream(FunctionName=name, Payload=json.dumps(event or {}), **more)
    assert answer["StatusCode"] == 200 and answer["ExecutedVersion"] == "$LATEST", answer
    assert answer["ResponseStreamContentType"] == "application/vnd.amazon.eventstream", answer
    parts, complete = [], None
    for e in answer["EventStream"]:
        assert complete is None, "an event after the last one"
        if "PayloadChunk" in e:
            parts.append((time.time(), e["PayloadChunk"]["Payload"]))
        else:
            complete = e["InvokeComplete"]
    assert complete is not None, "no InvokeComplete"
    return parts, complete


# The first part is here before the function has written its last.
for _ in range(2):
    parts, complete = invoke(LogType="Tail")
    whole = b"".join(p for _, p in parts)
    written = int(whole.removeprefix(b"first ")) / 1000
    assert parts[0][1] == b"first " and parts[0][0] < written - 0.5, (parts, written)
    assert "ErrorCode" not in complete, complete
    tail = base64.b64decode(complete["LogResult"]).decode()
    assert "START RequestId" in tail and "REPORT RequestId" in tail, tail

# Errors, before and amid the answer.
parts, complete = invoke(event={"before": True})
details = json.loads(complete["ErrorDetails"])
assert parts == [] and complete["ErrorCode"] == "Unhandled" and details["errorType"] == "TypeError" and details["errorMessage"] == "too early", complete
parts, complete = invoke(event={"amid": True})
details = json.loads(complete["ErrorDetails"])
assert [p for _, p in parts] == [b"first "] and complete["ErrorCode"] == "Unhandled" and details["errorType"] == "RangeError", (parts, complete)
parts, complete = invoke(event={"exit": True})
details = json.loads(complete["ErrorDetails"])
assert [p for _, p in parts] == [b"first "] and details["errorType"] == "Runtime.ExitError" and "exit status 3" in details["errorMessage"], (parts, complete)
parts, complete = invoke(event={"long": True})
details = json.loads(complete["ErrorDetails"])
assert [p for _, p in parts] == [b"first "] and details["errorType"] == "Sandbox.Timedout", (parts, complete)

# More than a whole answer may be.
parts, complete = invoke(event={"big": 8})
assert sum(len(p) for _, p in parts) > 8 << 20 and "ErrorCode" not in complete, complete

# A function that does not stream, a dry run, and no function at all.
parts, complete = invoke("whole")
assert [p for _, p in parts] == [b'{"whole":true}'] and "ErrorCode" not in complete, (parts, complete)
assert client.invoke_with_response_stream(FunctionName="whole", InvocationType="DryRun")["StatusCode"] == 204
try:
    client.invoke_with_response_stream(FunctionName="nobody")
    raise AssertionError("a function that is not there was invoked")
except client.exceptions.ResourceNotFoundException:
    pass

# The function's URL.
client.add_permission(FunctionName="streams", StatementId="all", Action="lambda:InvokeFunctionUrl", Principal="*", FunctionUrlAuthType="NONE")
client.add_permission(FunctionName="streams", StatementId="invoke", Action="lambda:InvokeFunction", Principal="*")
url = client.create_function_url_config(FunctionName="streams", AuthType="NONE", InvokeMode="RESPONSE_STREAM")["FunctionUrl"]
endpoint = urllib.parse.urlsplit(client.meta.endpoint_url)


def get(path):
    connection = http.client.HTTPConnection(endpoint.hostname, endpoint.port)
    at = urllib.parse.urlsplit(url)  # a host, or a path where there is no DNS
    connection.request("GET", at.path.rstrip("/") + path, headers={"Host": at.netloc})
    return connection.getresponse()


answer = get("/path")
headers = {k.lower(): v for k, v in answer.getheaders()}
assert answer.status == 201 and headers["x-custom"] == "/path" and headers["set-cookie"] == "a=b" and headers["content-type"] == "text/plain", headers
assert answer.read(6) == b"first "
arrived = time.time()
assert arrived < int(answer.read()) / 1000 - 0.5
answer = get("/amid")
try:
    raise AssertionError(f"an answer that broke looks whole: {answer.read()}")
except http.client.IncompleteRead as e:
    assert e.partial == b"first ", e
print("streams: all as told")
