"""A story of SQS told with boto3. Its assertions are its own."""
import concurrent.futures
import hashlib
import json
import time

import boto3
from botocore.exceptions import ClientError

sqs = boto3.client("sqs")


def refused(code, call, **parameters):
    try:
        call(**parameters)
    except ClientError as e:
        assert e.response["Error"]["Code"] == code, e.response
        return e.response["Error"]["Message"]
    raise AssertionError(f"{call.__name__} was not refused")


def bodies(answer):
    return [m["Body"] for m in answer.get("Messages", [])]


# A queue, its URL and its attributes.
url = sqs.create_queue(QueueName="orders", Attributes={"VisibilityTimeout": "7"}, tags={"team": "a"})["QueueUrl"]
assert sqs.create_queue(QueueName="orders", Attributes={"VisibilityTimeout": "7"})["QueueUrl"] == url
refused("QueueAlreadyExists", sqs.create_queue, QueueName="orders", Attributes={"VisibilityTimeout": "8"})
assert sqs.get_queue_url(QueueName="orders")["QueueUrl"] == url
assert url in sqs.list_queues(QueueNamePrefix="ord")["QueueUrls"]
attributes = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
assert attributes["VisibilityTimeout"] == "7" and attributes["MaximumMessageSize"] == "1048576", attributes
arn = attributes["QueueArn"]
refused("AWS.SimpleQueueService.NonExistentQueue", sqs.get_queue_url, QueueName="nobody")
assert sqs.list_queue_tags(QueueUrl=url)["Tags"] == {"team": "a"}

# Send, receive, delete; boto3 itself checks the MD5s.
sent = sqs.send_message(
    QueueUrl=url, MessageBody="grüße", MessageAttributes={
        "kind": {"DataType": "String", "StringValue": "greeting"},
        "count": {"DataType": "Number.int", "StringValue": "3"},
        "raw": {"DataType": "Binary", "BinaryValue": b"\x00\xff"},
    }, MessageSystemAttributes={"AWSTraceHeader": {"DataType": "String", "StringValue": "Root=1-5e3d83c1-e6a0db584850d61342823d4c"}})
assert sent["MD5OfMessageBody"] == hashlib.md5("grüße".encode()).hexdigest()
got = sqs.receive_message(QueueUrl=url, MessageAttributeNames=["All"], MessageSystemAttributeNames=["All"])["Messages"][0]
assert got["MessageId"] == sent["MessageId"] and got["Body"] == "grüße"
assert got["MessageAttributes"]["raw"]["BinaryValue"] == b"\x00\xff"
assert got["MD5OfMessageAttributes"] == sent["MD5OfMessageAttributes"]
assert got["Attributes"]["AWSTraceHeader"].startswith("Root=") and got["Attributes"]["ApproximateReceiveCount"] == "1"
assert bodies(sqs.receive_message(QueueUrl=url)) == []
counts = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"])["Attributes"]
assert counts == {"ApproximateNumberOfMessages": "0", "ApproximateNumberOfMessagesNotVisible": "1"}, counts
sqs.change_message_visibility(QueueUrl=url, ReceiptHandle=got["ReceiptHandle"], VisibilityTimeout=0)
again = sqs.receive_message(QueueUrl=url, AttributeNames=["ApproximateReceiveCount"])["Messages"][0]
assert again["Attributes"]["ApproximateReceiveCount"] == "2" and again["ReceiptHandle"] != got["ReceiptHandle"]
sqs.delete_message(QueueUrl=url, ReceiptHandle=again["ReceiptHandle"])
sqs.delete_message(QueueUrl=url, ReceiptHandle=again["ReceiptHandle"])
refused("ReceiptHandleIsInvalid", sqs.delete_message, QueueUrl=url, ReceiptHandle="nonsense")

# A long poll is woken by a send, at once.
with concurrent.futures.ThreadPoolExecutor() as pool:
    poll = pool.submit(sqs.receive_message, QueueUrl=url, WaitTimeSeconds=20)
    time.sleep(0.3)
    begun = time.monotonic()
    sqs.send_message(QueueUrl=url, MessageBody="wake")
    assert bodies(poll.result()) == ["wake"]
    assert time.monotonic() - begun < 5
sqs.purge_queue(QueueUrl=url)
refused("AWS.SimpleQueueService.PurgeQueueInProgress", sqs.purge_queue, QueueUrl=url)

# Batches fail in part.
batch = sqs.send_message_batch(QueueUrl=url, Entries=[{"Id": "a", "MessageBody": "one"}, {"Id": "b", "MessageBody": "\x08"}])
assert [e["Id"] for e in batch["Successful"]] == ["a"] and batch["Failed"][0]["Code"] == "InvalidMessageContents", batch
handles = [m["ReceiptHandle"] for m in sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10)["Messages"]]
deleted = sqs.delete_message_batch(QueueUrl=url, Entries=[{"Id": "a", "ReceiptHandle": handles[0]}, {"Id": "b", "ReceiptHandle": "nonsense"}])
assert deleted["Successful"] == [{"Id": "a"}] and deleted["Failed"][0]["Code"] == "ReceiptHandleIsInvalid", deleted
refused("AWS.SimpleQueueService.TooManyEntriesInBatchRequest", sqs.send_message_batch, QueueUrl=url, Entries=[{"Id": str(i), "MessageBody": "x"} for i in range(11)])
refused("AWS.SimpleQueueService.EmptyBatchRequest", sqs.delete_message_batch, QueueUrl=url, Entries=[])

# A megabyte is a message; one byte more is none.
sqs.send_message(QueueUrl=url, MessageBody="m" * (1 << 20))
assert len(sqs.receive_message(QueueUrl=url)["Messages"][0]["Body"]) == 1 << 20
assert "shorter than 1048576" in refused("InvalidParameterValue", sqs.send_message, QueueUrl=url, MessageBody="m" * ((1 << 20) + 1))

# FIFO: order in a group, one message of a group at a time, no duplicates.
fifo = sqs.create_queue(QueueName="steps.fifo", Attributes={"FifoQueue": "true", "ContentBasedDeduplication": "true"})["QueueUrl"]
numbers = [sqs.send_message(QueueUrl=fifo, MessageBody=b, MessageGroupId=g)["SequenceNumber"] for g, b in (("x", "x1"), ("x", "x2"), ("y", "y1"))]
assert numbers == sorted(numbers) and all(len(n) == 20 for n in numbers)
assert sqs.send_message(QueueUrl=fifo, MessageBody="x1", MessageGroupId="x")["SequenceNumber"] == numbers[0]
first = sqs.receive_message(QueueUrl=fifo, MessageSystemAttributeNames=["All"])["Messages"][0]
assert first["Body"] == "x1" and first["Attributes"]["MessageGroupId"] == "x" and first["Attributes"]["SequenceNumber"] == numbers[0]
assert bodies(sqs.receive_message(QueueUrl=fifo, MaxNumberOfMessages=10)) == ["y1"]
sqs.delete_message(QueueUrl=fifo, ReceiptHandle=first["ReceiptHandle"])
assert bodies(sqs.receive_message(QueueUrl=fifo, ReceiveRequestAttemptId="try")) == ["x2"]
assert bodies(sqs.receive_message(QueueUrl=fifo, ReceiveRequestAttemptId="try")) == ["x2"]
refused("MissingParameter", sqs.send_message, QueueUrl=fifo, MessageBody="no group")

# Dead letters, and their way back.
dead = sqs.create_queue(QueueName="dead")["QueueUrl"]
dead_arn = sqs.get_queue_attributes(QueueUrl=dead, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
work = sqs.create_queue(QueueName="work", Attributes={"RedrivePolicy": json.dumps({"deadLetterTargetArn": dead_arn, "maxReceiveCount": 2}), "VisibilityTimeout": "0"})["QueueUrl"]
assert sqs.list_dead_letter_source_queues(QueueUrl=dead)["queueUrls"] == [work]
sqs.send_message(QueueUrl=work, MessageBody="poison")
for _ in range(2):
    assert bodies(sqs.receive_message(QueueUrl=work)) == ["poison"]
assert bodies(sqs.receive_message(QueueUrl=work)) == []
buried = sqs.receive_message(QueueUrl=dead, VisibilityTimeout=0, MessageSystemAttributeNames=["All"])["Messages"][0]
assert buried["Body"] == "poison" and buried["Attributes"]["DeadLetterQueueSourceArn"].endswith(":work")
task = sqs.start_message_move_task(SourceArn=dead_arn)["TaskHandle"]
for _ in range(100):
    tasks = sqs.list_message_move_tasks(SourceArn=dead_arn)["Results"]
    if tasks[0]["Status"] != "RUNNING":
        break
    time.sleep(0.05)
assert tasks[0]["Status"] == "COMPLETED" and tasks[0]["ApproximateNumberOfMessagesMoved"] == 1, tasks
assert bodies(sqs.receive_message(QueueUrl=work)) == ["poison"]
refused("AWS.SimpleQueueService.UnsupportedOperation", sqs.cancel_message_move_task, TaskHandle=task)

# Permissions, tags, and the end.
sqs.add_permission(QueueUrl=url, Label="other", AWSAccountIds=["210987654321"], Actions=["SendMessage"])
policy = json.loads(sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["Policy"])["Attributes"]["Policy"])
assert policy["Statement"][0]["Action"] == "SQS:SendMessage", policy
sqs.remove_permission(QueueUrl=url, Label="other")
assert "Attributes" not in sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["Policy"])
sqs.untag_queue(QueueUrl=url, TagKeys=["team"])
assert "Tags" not in sqs.list_queue_tags(QueueUrl=url)
sqs.delete_queue(QueueUrl=url)
refused("AWS.SimpleQueueService.NonExistentQueue", sqs.send_message, QueueUrl=url, MessageBody="late")
refused("AWS.SimpleQueueService.QueueDeletedRecently", sqs.create_queue, QueueName="orders")
print("told")
