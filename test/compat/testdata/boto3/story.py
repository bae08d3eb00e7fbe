"""A user's day with boto3: every assertion is what the real service does."""
import base64
import io
import json
import os
import threading
import urllib.request
import zipfile

import boto3
import botocore
from botocore.config import Config
from botocore.exceptions import ClientError

CODE = """
import json, os, time

COUNT = 0

def handler(event, context):
    global COUNT
    COUNT += 1
    if "sleep" in event:
        time.sleep(event["sleep"])
    if "exit" in event:
        os._exit(event["exit"])
    if "big" in event:
        return "x" * event["big"]
    return {
        "count": COUNT,
        "id": context.aws_request_id,
        "arn": context.invoked_function_arn,
        "memory": context.memory_limit_in_mb,
        "client_context": context.client_context.custom if context.client_context else None,
        "key": os.environ["AWS_ACCESS_KEY_ID"][:4],
        "event": event,
    }
"""
TRUST = json.dumps({"Version": "2012-10-17", "Statement": [
    {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}]})


def zipped(source):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("app.py", source)
    return buffer.getvalue()


PACKAGE = zipped(CODE)


def refused(code, call, **arguments):
    try:
        call(**arguments)
    except ClientError as error:
        assert error.response["Error"]["Code"] == code, error.response
        return error.response
    raise AssertionError(f"{call} was not refused with {code}")


config = Config(retries={"max_attempts": 1}, read_timeout=70)
# Debian 12's boto3 does not read AWS_ENDPOINT_URL yet, and knows less. Source: boto3's changelog, 1.28.0.
old = tuple(int(part) for part in botocore.__version__.split(".")[:2]) < (1, 31)
endpoint = os.environ["AWS_ENDPOINT_URL"] if old else None
iam, fn, logs, sts = (boto3.client(name, config=config, endpoint_url=endpoint) for name in ("iam", "lambda", "logs", "sts"))

role = iam.create_role(RoleName="boto", AssumeRolePolicyDocument=TRUST)["Role"]["Arn"]
created = fn.create_function(FunctionName="boto", Runtime="python3.12", Handler="app.handler", Role=role,
                             Code={"ZipFile": PACKAGE}, Timeout=3, MemorySize=256, Tags={"team": "blue"})
assert created["ResponseMetadata"]["HTTPStatusCode"] == 201
assert created["State"] == "Pending" and "LastUpdateStatus" not in created, created
if not old:
    assert created["LoggingConfig"] == {"LogFormat": "Text", "LogGroup": "/aws/lambda/boto"}, created
assert created["SnapStart"] == {"ApplyOn": "None", "OptimizationStatus": "Off"}
assert created["EphemeralStorage"] == {"Size": 512} and created["TracingConfig"] == {"Mode": "PassThrough"}
assert "Environment" not in created and "VpcConfig" not in created, created
fn.get_waiter("function_active_v2").wait(FunctionName="boto")
fn.get_waiter("function_active").wait(FunctionName="boto")


def invoke(payload=None, **more):
    more.setdefault("FunctionName", "boto")
    answer = fn.invoke(Payload=json.dumps(payload or {}), **more)
    return answer, json.loads(answer["Payload"].read() or b"null")


answer, payload = invoke({"a": "ü"}, LogType="Tail")
assert answer["StatusCode"] == 200 and answer["ExecutedVersion"] == "$LATEST" and "FunctionError" not in answer
assert payload["event"] == {"a": "ü"} and payload["memory"] == "256" and payload["key"] == "ASIA", payload
assert payload["id"] == answer["ResponseMetadata"]["RequestId"], (payload, answer)
tail = base64.b64decode(answer["LogResult"]).decode()
assert tail.startswith(f"START RequestId: {payload['id']} Version: $LATEST\n"), tail
assert "Billed Duration" in tail and "Init Duration" in tail and "Memory Size: 256 MB" in tail, tail
answer, payload = invoke(LogType="Tail")
assert payload["count"] == 2 and "Init Duration" not in base64.b64decode(answer["LogResult"]).decode()

# Names: name, partial ARN, full ARN, with and without qualifier.
for name in ("boto", "000000000000:function:boto", created["FunctionArn"], created["FunctionArn"] + ":$LATEST"):
    assert invoke(FunctionName=name)[1]["count"] > 2, name

# Client context, dry run.
context = base64.b64encode(json.dumps({"custom": {"k": "v"}}).encode()).decode()
assert invoke(ClientContext=context)[1]["client_context"] == {"k": "v"}
assert fn.invoke(FunctionName="boto", InvocationType="DryRun")["StatusCode"] == 204

# Failures.
answer, payload = invoke({"sleep": 10})
assert answer["StatusCode"] == 200 and answer["FunctionError"] == "Unhandled"
assert payload["errorType"] == "Sandbox.Timedout" and payload["errorMessage"].endswith("Error: Task timed out after 3.00 seconds"), payload
assert invoke()[1]["count"] == 1, "an environment that timed out must not be used again"
answer, payload = invoke({"exit": 3})
assert payload["errorType"] == "Runtime.ExitError" and payload["errorMessage"].endswith("Error: Runtime exited with error: exit status 3"), payload
answer, payload = invoke({"big": 6291557})
assert payload == {"errorMessage": "Response payload size exceeded maximum allowed payload size (6291556 bytes).", "errorType": "Function.ResponseSizeTooLarge"}, payload
refused("RequestEntityTooLargeException", fn.invoke, FunctionName="boto", Payload=b'"' + b"x" * 6291456 + b'"')
refused("InvalidRequestContentException", fn.invoke, FunctionName="boto", Payload=b"{nope")
refused("ResourceNotFoundException", fn.invoke, FunctionName="nope")

# Concurrent invokes get environments of their own.
results = []
threads = [threading.Thread(target=lambda: results.append(invoke({"sleep": 1})[1])) for _ in range(4)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
assert len(results) == 4 and all("count" in result for result in results), results

# Configuration, versions, tags, paging.
fn.update_function_configuration(FunctionName="boto", Description="d", Environment={"Variables": {"LEVEL": "1"}})
refused("ResourceConflictException", fn.update_function_configuration, FunctionName="boto", Description="e")
fn.get_waiter("function_updated_v2").wait(FunctionName="boto")
first = fn.publish_version(FunctionName="boto")
assert first["Version"] == "1" and first["FunctionArn"].endswith(":function:boto:1"), first
fn.get_waiter("published_version_active").wait(FunctionName="boto", Qualifier="1")
assert invoke(Qualifier="1")[0]["ExecutedVersion"] == "1"
assert invoke(Qualifier="1")[1]["arn"].endswith(":boto:1")
assert [v["Version"] for v in fn.list_versions_by_function(FunctionName="boto")["Versions"]] == ["$LATEST", "1"]
arn = created["FunctionArn"]
assert fn.list_tags(Resource=arn)["Tags"] == {"team": "blue"}
fn.tag_resource(Resource=arn, Tags={"x": "y"})
fn.untag_resource(Resource=arn, TagKeys=["team"])
assert fn.list_tags(Resource=arn)["Tags"] == {"x": "y"}
for n in range(3):
    fn.create_function(FunctionName=f"page{n}", Runtime="python3.12", Handler="app.handler", Role=role, Code={"ZipFile": PACKAGE})
pages = list(fn.get_paginator("list_functions").paginate(PaginationConfig={"PageSize": 2}))
assert len(pages) >= 2 and sorted(f["FunctionName"] for p in pages for f in p["Functions"]) == ["boto", "page0", "page1", "page2"]

# The code comes back.
location = fn.get_function(FunctionName="boto")["Code"]["Location"]
assert urllib.request.urlopen(location).read() == PACKAGE

# Credentials that are wrong, unknown or missing.
bad = boto3.client("lambda", config=config, endpoint_url=endpoint, aws_access_key_id="AKIAAAAAAAAAAAAAAAAA", aws_secret_access_key="x")
assert refused("UnrecognizedClientException", bad.list_functions)["ResponseMetadata"]["HTTPStatusCode"] == 403
key = boto3.Session().get_credentials().access_key
wrong = boto3.client("lambda", config=config, endpoint_url=endpoint, aws_access_key_id=key, aws_secret_access_key="x" * 40)
assert refused("InvalidSignatureException", wrong.list_functions)["ResponseMetadata"]["HTTPStatusCode"] == 403
assert refused("SignatureDoesNotMatch", boto3.client("sts", config=config, endpoint_url=endpoint, aws_access_key_id=key, aws_secret_access_key="x" * 40).get_caller_identity)

# A user with a policy may do what it says, and nothing else.
iam.create_user(UserName="reader")
iam.put_user_policy(UserName="reader", PolicyName="read", PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [
    {"Effect": "Allow", "Action": "lambda:GetFunction", "Resource": arn}]}))
pair = iam.create_access_key(UserName="reader")["AccessKey"]
reader = boto3.client("lambda", config=config, endpoint_url=endpoint, aws_access_key_id=pair["AccessKeyId"], aws_secret_access_key=pair["SecretAccessKey"])
assert reader.get_function(FunctionName="boto")["Configuration"]["FunctionName"] == "boto"
denied = refused("AccessDeniedException", reader.invoke, FunctionName="boto")
assert f"user/reader is not authorized to perform: lambda:InvokeFunction on resource: {arn}" in denied["Error"]["Message"], denied

# The function's own credentials work here, for what its role may do.
iam.put_role_policy(RoleName="boto", PolicyName="p", PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [
    {"Effect": "Allow", "Action": "sts:GetCallerIdentity", "Resource": "*"}]}))

# Logs.
groups = logs.describe_log_groups(logGroupNamePrefix="/aws/lambda/boto")["logGroups"]
assert [g["logGroupName"] for g in groups] == ["/aws/lambda/boto"], groups
events = [e["message"] for p in logs.get_paginator("filter_log_events").paginate(logGroupName="/aws/lambda/boto") for e in p["events"]]
assert any(m.startswith("INIT_START Runtime Version: python:3.1") for m in events), events[:5]
assert any("Task timed out after 3.00 seconds" in m for m in events)

fn.delete_function(FunctionName="boto")
refused("ResourceNotFoundException", fn.get_function, FunctionName="boto")
print("boto3", boto3.__version__, "ok")
