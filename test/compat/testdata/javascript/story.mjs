// A function's story told with the AWS SDK for JavaScript, version 3. Its assertions are its own.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import http from 'node:http';

import { Sha256 } from '@aws-crypto/sha256-js';
import { CreateRoleCommand, IAMClient } from '@aws-sdk/client-iam';
import {
  AddPermissionCommand, CreateAliasCommand, CreateEventSourceMappingCommand, CreateFunctionCommand, CreateFunctionUrlConfigCommand,
  DeleteFunctionCommand, DeleteFunctionUrlConfigCommand, GetEventSourceMappingCommand, InvokeCommand, InvokeWithResponseStreamCommand, LambdaClient,
  PublishVersionCommand, ResourceConflictException, ResourceNotFoundException, UpdateFunctionConfigurationCommand, UpdateFunctionUrlConfigCommand,
  paginateListAliases, paginateListFunctions, paginateListVersionsByFunction,
  waitUntilFunctionActiveV2, waitUntilFunctionUpdatedV2, waitUntilPublishedVersionActive,
} from '@aws-sdk/client-lambda';
import {
  CreateQueueCommand, DeleteMessageCommand, DeleteQueueCommand, GetQueueAttributesCommand, QueueDoesNotExist, ReceiveMessageCommand,
  SendMessageBatchCommand, SendMessageCommand, SQSClient, paginateListQueues,
} from '@aws-sdk/client-sqs';
import { defaultProvider } from '@aws-sdk/credential-provider-node';
import { HttpRequest } from '@smithy/protocol-http';
import { SignatureV4 } from '@smithy/signature-v4';

const client = new LambdaClient({});
const queues = new SQSClient({});
const wait = (client, n = 60) => ({ client, maxWaitTime: n, minDelay: 1, maxDelay: 1 });
const text = (bytes) => Buffer.from(bytes ?? []).toString();

const trust = { Version: '2012-10-17', Statement: [{ Effect: 'Allow', Principal: { Service: 'lambda.amazonaws.com' }, Action: 'sts:AssumeRole' }] };
const role = (await new IAMClient({}).send(new CreateRoleCommand({ RoleName: 'javascript', AssumeRolePolicyDocument: JSON.stringify(trust) }))).Role.Arn;
const ZipFile = readFileSync(process.argv[2]);

async function create(FunctionName, more = {}) {
  const made = await client.send(new CreateFunctionCommand({
    FunctionName, Runtime: 'nodejs20.x', Handler: 'index.whole', Role: role, Timeout: 8, Code: { ZipFile }, ...more,
  }));
  assert.equal(made.State, 'Pending');
  assert.equal((await waitUntilFunctionActiveV2(wait(client), { FunctionName })).state, 'SUCCESS');
}

// Invokes of each kind, and their errors by type.
await create('whole', { Environment: { Variables: { GREETING: 'hello' } } });
await create('streams', { Handler: 'index.streams' });
await assert.rejects(client.send(new CreateFunctionCommand({ FunctionName: 'whole', Runtime: 'nodejs20.x', Handler: 'index.whole', Role: role, Code: { ZipFile } })), ResourceConflictException);
let answer = await client.send(new InvokeCommand({ FunctionName: 'whole', Payload: JSON.stringify({ ü: '\u{1F600}' }), LogType: 'Tail' }));
assert.equal(answer.StatusCode, 200);
assert.deepEqual(JSON.parse(text(answer.Payload)), { event: { ü: '\u{1F600}' }, greeting: 'hello' });
assert.match(Buffer.from(answer.LogResult, 'base64').toString(), /^START RequestId: [^]*REPORT RequestId: /);
answer = await client.send(new InvokeCommand({ FunctionName: 'whole', Payload: '{"fail":true}' }));
assert.equal(answer.FunctionError, 'Unhandled');
assert.equal(JSON.parse(text(answer.Payload)).errorType, 'RangeError');
assert.equal((await client.send(new InvokeCommand({ FunctionName: 'whole', InvocationType: 'Event' }))).StatusCode, 202);
assert.equal((await client.send(new InvokeCommand({ FunctionName: 'whole', InvocationType: 'DryRun' }))).StatusCode, 204);
await assert.rejects(client.send(new InvokeCommand({ FunctionName: 'nobody' })), (e) => e instanceof ResourceNotFoundException && e.$metadata.httpStatusCode === 404);

// Waiters and paginators.
for (const GREETING of ['hi', 'ho', 'hey']) {
  await client.send(new UpdateFunctionConfigurationCommand({ FunctionName: 'whole', Environment: { Variables: { GREETING } } }));
  assert.equal((await waitUntilFunctionUpdatedV2(wait(client), { FunctionName: 'whole' })).state, 'SUCCESS');
  const { Version } = await client.send(new PublishVersionCommand({ FunctionName: 'whole' }));
  assert.equal((await waitUntilPublishedVersionActive(wait(client), { FunctionName: 'whole', Qualifier: Version })).state, 'SUCCESS');
  await client.send(new CreateAliasCommand({ FunctionName: 'whole', Name: GREETING, FunctionVersion: Version }));
}
async function all(pages, member, name) {
  const found = [];
  for await (const page of pages) found.push(...page[member].map((item) => item[name]));
  return found;
}
assert.deepEqual(await all(paginateListFunctions({ client, pageSize: 1 }, {}), 'Functions', 'FunctionName'), ['streams', 'whole']);
assert.deepEqual(await all(paginateListVersionsByFunction({ client, pageSize: 1 }, { FunctionName: 'whole' }), 'Versions', 'Version'), ['$LATEST', '1', '2', '3']);
assert.deepEqual(await all(paginateListAliases({ client, pageSize: 2 }, { FunctionName: 'whole' }), 'Aliases', 'Name'), ['hey', 'hi', 'ho']);
answer = await client.send(new InvokeCommand({ FunctionName: 'whole', Qualifier: 'ho' }));
assert.equal(answer.ExecutedVersion, '2');
assert.equal(JSON.parse(text(answer.Payload)).greeting, 'ho');

// Streams of events, whole and broken.
async function stream(event) {
  const { EventStream } = await client.send(new InvokeWithResponseStreamCommand({ FunctionName: 'streams', Payload: JSON.stringify(event), LogType: 'Tail' }));
  const parts = [];
  let complete;
  for await (const e of EventStream) {
    if (e.PayloadChunk) parts.push({ at: Date.now(), text: text(e.PayloadChunk.Payload) });
    else complete = e.InvokeComplete;
  }
  return { parts, complete };
}
let { parts, complete } = await stream({});
assert.equal(parts[0].text, 'first ');
assert.ok(parts[0].at < Number(parts.at(-1).text) - 500, 'the first part came with the last');
assert.equal(complete.ErrorCode, undefined);
assert.match(Buffer.from(complete.LogResult, 'base64').toString(), /REPORT RequestId/);
({ parts, complete } = await stream({ amid: true }));
assert.equal(parts.map((p) => p.text).join(''), 'first ');
assert.equal(complete.ErrorCode, 'Unhandled');
assert.equal(JSON.parse(complete.ErrorDetails).errorType, 'TypeError');

// A function's URL, with the SDK's own signer.
const { FunctionUrl } = await client.send(new CreateFunctionUrlConfigCommand({ FunctionName: 'whole', AuthType: 'AWS_IAM' }));
const at = new URL(FunctionUrl);
const signer = new SignatureV4({ service: 'lambda', region: process.env.AWS_REGION, credentials: defaultProvider(), sha256: Sha256 });
function send(request) {
  return new Promise((resolve, reject) => {
    const query = new URLSearchParams(request.query).toString();
    const sent = http.request({ host: at.hostname, port: at.port, method: request.method, path: request.path + (query && '?' + query), headers: request.headers }, (response) => {
      const chunks = [];
      response.on('data', (chunk) => chunks.push(chunk)).on('error', reject);
      response.on('end', () => resolve({ status: response.statusCode, headers: response.headers, body: Buffer.concat(chunks).toString() }));
    });
    sent.on('error', reject).end(request.body);
  });
}
const request = () => new HttpRequest({
  protocol: at.protocol, hostname: at.hostname, port: Number(at.port), method: 'POST', path: at.pathname + 'a%20b/c', query: { q: 'x y', z: '1' },
  headers: { host: at.host, 'content-type': 'application/json' }, body: '{"a":1}',
});
assert.equal((await send(request())).status, 403);
let response = await send(await signer.sign(request()));
assert.equal(response.status, 200, response.body);
let { event } = JSON.parse(response.body);
assert.equal(event.rawPath, '/a%20b/c');
assert.equal(event.queryStringParameters.q, 'x y');
assert.equal(event.body, '{"a":1}');
assert.match(event.requestContext.authorizer.iam.userArn, /:user\/admin$/);
response = await send(await signer.presign(new HttpRequest({ ...request(), method: 'GET', body: undefined, headers: { host: at.host } }), { expiresIn: 60 }));
assert.equal(response.status, 200, response.body);
await client.send(new UpdateFunctionUrlConfigCommand({ FunctionName: 'whole', AuthType: 'NONE' }));
assert.equal((await send(request())).status, 403, 'anybody may come before a permission says so');
await client.send(new AddPermissionCommand({ FunctionName: 'whole', StatementId: 'url', Action: 'lambda:InvokeFunctionUrl', Principal: '*', FunctionUrlAuthType: 'NONE' }));
assert.equal((await send(request())).status, 403, 'anybody may come by one right of two');
await client.send(new AddPermissionCommand({ FunctionName: 'whole', StatementId: 'invoke', Action: 'lambda:InvokeFunction', Principal: '*', InvokedViaFunctionUrl: true }));
assert.equal((await send(request())).status, 200);
await client.send(new DeleteFunctionUrlConfigCommand({ FunctionName: 'whole' }));
for (let i = 0; i < 100 && (response = await send(request())).status === 200; i++) await new Promise((done) => setTimeout(done, 20));
assert.equal(response.status, 403);

// Queues: digests are checked by the SDK, errors known by their types.
await assert.rejects(queues.send(new GetQueueAttributesCommand({ QueueUrl: `${process.env.AWS_ENDPOINT_URL}/000000000000/none`, AttributeNames: ['All'] })), QueueDoesNotExist);
const { QueueUrl } = await queues.send(new CreateQueueCommand({ QueueName: 'javascript', Attributes: { VisibilityTimeout: '20' } }));
await queues.send(new CreateQueueCommand({ QueueName: 'other' }));
assert.equal((await all(paginateListQueues({ client: queues, pageSize: 1 }, {}), 'QueueUrls', 'length')).length, 2);
const sent = await queues.send(new SendMessageCommand({ QueueUrl, MessageBody: 'one', MessageAttributes: { b: { DataType: 'Binary', BinaryValue: new Uint8Array([0, 255]) } } }));
const { Messages: [message] } = await queues.send(new ReceiveMessageCommand({ QueueUrl, WaitTimeSeconds: 5, MessageAttributeNames: ['All'], MessageSystemAttributeNames: ['All'] }));
assert.equal(message.MessageId, sent.MessageId);
assert.deepEqual([...message.MessageAttributes.b.BinaryValue], [0, 255]);
await queues.send(new DeleteMessageCommand({ QueueUrl, ReceiptHandle: message.ReceiptHandle }));
await create('reader', { Handler: 'index.reader' });
const refused = client.send(new CreateEventSourceMappingCommand({ FunctionName: 'reader', EventSourceArn: 'arn:aws:sqs:us-east-1:000000000000:javascript', BatchSize: 5 }));
await assert.rejects(refused, (e) => e.name === 'InvalidParameterValueException' && /does not have permissions to call ReceiveMessage/.test(e.message));
const batch = await queues.send(new SendMessageBatchCommand({ QueueUrl, Entries: [{ Id: 'a', MessageBody: '1' }, { Id: 'b', MessageBody: '2' }] }));
assert.equal(batch.Successful.length, 2);
await queues.send(new DeleteQueueCommand({ QueueUrl }));
await assert.rejects(client.send(new GetEventSourceMappingCommand({ UUID: '00000000-0000-0000-0000-000000000000' })), ResourceNotFoundException);

for (const FunctionName of ['whole', 'streams', 'reader']) await client.send(new DeleteFunctionCommand({ FunctionName }));
assert.deepEqual(await all(paginateListFunctions({ client }, {}), 'Functions', 'FunctionName'), []);
console.log('javascript: all as told');
