'use strict';

const crypto = require('crypto');
const captured = Math.random;
crypto.randomUUID();
crypto.randomInt(9);

let calls = 0;
console.log('loading é');

exports.echo = async (event) => event;
exports.nothing = async () => {};
exports.fail = async () => {
  throw new Error('some_error_msg');
};
exports.context = async (event, context) => ({
  id: context.awsRequestId,
  arn: context.invokedFunctionArn,
  name: context.functionName,
  version: context.functionVersion,
  memory: context.memoryLimitInMB,
  group: context.logGroupName,
  stream: context.logStreamName,
  remaining: context.getRemainingTimeInMillis(),
  custom: context.clientContext ? context.clientContext.custom : null,
  identity: context.identity ? context.identity.cognitoIdentityId : null,
  tenant: context.tenantId ?? null,
  trace: process.env._X_AMZN_TRACE_ID ?? null,
});
exports.env = async (name) => process.env[name];
exports.log = async () => {
  process.stdout.write('plain\n');
  console.warn('warned é\nsecond');
  console.error('caught', new Error('inner'));
  console.log({ object: 1 });
};
exports.leave = async (status) => process.exit(status);
exports.large = async (n) => 'x'.repeat(n);
exports.count = async () => ++calls;

exports.callback = (event, context, callback) => setTimeout(() => callback(null, event), 5);
exports.callbackError = (event, context, callback) => callback(new TypeError('in callback'));
exports.callbackText = (event, context, callback) => callback('only text');
// The answer waits for the timer, and tells what it did.
exports.waits = (event, context, callback) => {
  const result = { waited: false };
  setTimeout(() => (result.waited = true), 20);
  callback(null, result);
};
exports.doesNotWait = (event, context, callback) => {
  context.callbackWaitsForEmptyEventLoop = false;
  const result = { waited: false };
  setTimeout(() => (result.waited = true), 1000).unref();
  setInterval(() => {}, 1000);
  callback(null, result);
};
exports.neverCalled = () => 'ignored';
exports.done = (event, context) => context.done(null, event);
exports.succeed = (event, context) => context.succeed(event);
exports.contextFail = (event, context) => context.fail(new RangeError('failed'));
exports.thrown = () => {
  throw new TypeError('thrown');
};
exports.neverSettled = async () => new Promise(() => {});
exports.rejectedElsewhere = (event, context, callback) => {
  Promise.reject(new Error('nobody looks'));
};
exports.thrownElsewhere = (event, context, callback) => {
  setTimeout(() => {
    throw new Error('in a timer');
  }, 1);
};
exports.cycle = async () => {
  const o = {};
  o.o = o;
  return o;
};
exports.size = async (event) => event.length;
exports.every = async (event, context) => ({
  id: context.awsRequestId,
  arn: context.invokedFunctionArn,
  name: context.functionName,
  version: context.functionVersion,
  memory: context.memoryLimitInMB,
  group: context.logGroupName,
  stream: context.logStreamName,
  tenant: context.tenantId,
  identity: context.identity.cognitoIdentityId,
  pool: context.identity.cognitoIdentityPoolId,
  custom: context.clientContext.custom,
  env: context.clientContext.env,
  installation: context.clientContext.client.installation_id,
  title: context.clientContext.client.app_title,
  versionName: context.clientContext.client.app_version_name,
  versionCode: context.clientContext.client.app_version_code,
  package: context.clientContext.client.app_package_name,
});
exports.bare = async () => {
  throw new RangeError();
};
class Named extends Error {
  constructor(message, options) {
    super(message, options);
    this.name = 'Named';
  }
}
exports.named = async () => {
  throw new Named('gebrochen 💥 \u2028 é');
};
exports.chained = async () => {
  throw new Named('the outer', { cause: new TypeError('the cause') });
};
const overflow = (event) => overflow(event) + 1;
exports.overflow = async (event) => overflow(event);
exports.arity = async () => 'no arguments';
exports.unserialisable = async () => ({ big: 1n });
exports.not_a_number = async () => NaN;
const background = [];
exports.leftover = async (event) => {
  if (event === 'start') {
    setTimeout(() => {
      background.push('done');
      process.stdout.write('from the background\n');
    }, 50);
    return background.length;
  }
  for (let i = 0; i < 1000 && background.length === 0; i++) await new Promise((r) => setTimeout(r, 10));
  return background;
};
exports.leftover_fails = async (event) => {
  // While nothing is invoked, and the next event is waited for.
  if (event === 'start') setTimeout(() => Promise.reject(new Named('nobody looks')), 50);
  return event;
};
exports.managed = async (event) => {
  const order = [];
  const resource = async function* () {
    order.push('enter');
    try {
      yield event;
    } finally {
      await null;
      order.push('exit');
    }
  };
  for await (const r of resource()) order.push(r);
  return order;
};
exports.thenable = () => ({ then: (resolve) => resolve('thenable') });
exports.neverSettledPlain = () => new Promise(() => {});
exports.twice = (event, context, callback) => {
  context.callbackWaitsForEmptyEventLoop = false;
  callback(null, 'first');
  callback(new Error('second'));
};
exports.rejectedWithNothing = async () => Promise.reject();
exports.notAFunction = 5;
exports.a = { b: { c: async () => 'nested' } };
exports.wholeContext = async (event, context) => context;

exports.stream = awslambda.streamifyResponse(async (event, stream, context) => {
  stream = awslambda.HttpResponseStream.from(stream, { statusCode: 201 });
  stream.write('one ');
  await new Promise((r) => setTimeout(r, 5));
  stream.write(Buffer.from('two'));
  stream.end();
});
exports.streamPipeline = awslambda.streamifyResponse(async (event, stream) => {
  stream.setContentType('text/plain');
  const { Readable } = require('stream');
  await require('stream/promises').pipeline(Readable.from(['a'.repeat(event), 'b']), stream);
});
exports.streamFails = awslambda.streamifyResponse(async (event, stream) => {
  stream.write('begun');
  await new Promise((r) => setTimeout(r, 5));
  throw new Error('in the middle');
});
exports.streamFailsAtOnce = awslambda.streamifyResponse(async () => {
  throw new Error('at once');
});
exports.streamNotEnded = awslambda.streamifyResponse(async (event, stream) => {
  stream.write('begun');
});

const globals = [typeof globalThis.awslambda, Object.getOwnPropertySymbols(globalThis).map(String).sort(), Object.keys(globalThis).sort()];

exports.surroundings = async () => ({
  environ: process.env,
  globals,
  child: require('child_process').execFileSync('env').toString().split('\n').filter((x) => !x.startsWith('_=')).sort(),
  cwd: process.cwd(),
  argv: process.argv.slice(1),
  execArgv: process.execArgv,
  paths: require('module').globalPaths,
  zone: [new Date(0).toString().slice(16).replace('GMT+0900', 'JST +0900')],
  descriptors: require('fs').readdirSync('/proc/self/fd').filter((fd) => {
    try {
      return require('fs').readlinkSync('/proc/self/fd/' + fd).startsWith('socket:');
    } catch {
      return false;
    }
  }).length,
  listeners: ['uncaughtException', 'unhandledRejection', 'beforeExit'].map((e) => process.listenerCount(e)),
});

exports.restored = async () => ({
  Env: process.env,
  Log: [],
  Hour: new Date(0).getHours() === 9 ? 'JST' : 'another',
  Calls: 1,
  Random: [Math.random(), captured(), crypto.randomUUID(), crypto.randomInt(1 << 40), crypto.randomBytes(8).toString('hex')],
});
