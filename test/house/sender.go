package house

// PythonSender is the beginning of a function that sends messages: send(body) to the queue whose URL is in the variable
// OUT, send(body, queue) to another one. It signs by itself, since a machine's Python may have no SDK.
const PythonSender = `import datetime, hashlib, hmac, json, os, urllib.request

def send(body, queue=os.environ.get("OUT")):
    message = {"QueueUrl": queue, "MessageBody": body}
    if message["QueueUrl"].endswith(".fifo"):
        message.update(MessageGroupId="all", MessageDeduplicationId=os.urandom(16).hex())
    data = json.dumps(message).encode()
    endpoint = os.environ["AWS_ENDPOINT_URL"].rstrip("/")
    host, region = endpoint.split("//")[1], os.environ["AWS_REGION"]
    now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y%m%dT%H%M%SZ")
    head = {"content-type": "application/x-amz-json-1.0", "host": host, "x-amz-date": now,
            "x-amz-security-token": os.environ["AWS_SESSION_TOKEN"], "x-amz-target": "AmazonSQS.SendMessage"}
    signed = ";".join(sorted(head))
    canonical = "POST\n/\n\n" + "".join(k + ":" + head[k] + "\n" for k in sorted(head)) + "\n" + signed + "\n" + hashlib.sha256(data).hexdigest()
    scope = now[:8] + "/" + region + "/sqs/aws4_request"
    text = "AWS4-HMAC-SHA256\n" + now + "\n" + scope + "\n" + hashlib.sha256(canonical.encode()).hexdigest()
    key = ("AWS4" + os.environ["AWS_SECRET_ACCESS_KEY"]).encode()
    for part in (now[:8], region, "sqs", "aws4_request"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    head["authorization"] = "AWS4-HMAC-SHA256 Credential=%s/%s, SignedHeaders=%s, Signature=%s" % (
        os.environ["AWS_ACCESS_KEY_ID"], scope, signed, hmac.new(key, text.encode(), hashlib.sha256).hexdigest())
    urllib.request.urlopen(urllib.request.Request(endpoint + "/", data, head))
`
