// Serves invocations one after the other.
'use strict';

const log = require('./lambdad-console.js');
const { RuntimeError } = require('./lambdad-errors.js');
const { callbacksAllowed } = require('./lambdad-loader.js');
const { STREAMING, HIGH_WATER_MARK, ResponseStream } = require('./lambdad-stream.js');

class Loop {
  constructor(api) {
    this.api = api;
    this.requestId = undefined; // of the invocation in hand
    this.onIdle = null; // what to do once the event loop is empty
  }

  start(handler) {
    this.handler = handler;
    this.callbacks = callbacksAllowed();
    setImmediate(() => this.run());
  }

  // idle is called when nothing keeps the process alive any more.
  idle() {
    const then = this.onIdle;
    this.onIdle = null;
    if (then) then();
  }

  async run() {
    const { headers, body } = await this.api.next();
    this.requestId = headers['lambda-runtime-aws-request-id'];
    log.setInvocation(this.requestId, headers['lambda-runtime-aws-tenant-id']);
    const trace = headers['lambda-runtime-trace-id'];
    if (trace) process.env._X_AMZN_TRACE_ID = trace;
    else delete process.env._X_AMZN_TRACE_ID;
    if (this.handler[STREAMING]) await this.stream(headers, body);
    else this.invoke(headers, body);
  }

  // after goes on to the next invocation when the answer has been sent.
  after(answer) {
    answer.then(() => setImmediate(() => this.run()));
  }

  succeed(result) {
    let text;
    try {
      text = JSON.stringify(result === undefined ? null : result) ?? 'null';
    } catch {
      return this.fail(new Error('Unable to stringify response body'));
    }
    this.after(this.api.postResponse(this.requestId, text));
  }

  fail(error) {
    log.error('Invoke Error', error);
    this.after(this.api.postError(this.requestId, error));
  }

  invoke(headers, body) {
    let settled = false;
    const settle = (how, value) => {
      if (settled) return;
      settled = true;
      this.onIdle = null;
      how.call(this, value);
    };
    const succeed = (result) => settle(this.succeed, result);
    const fail = (error) => settle(this.fail, error);

    let context;
    let result;
    try {
      context = contextOf(headers);
      if (this.callbacks) addLegacy(context, succeed, fail);
      const callback = (error, value) => {
        if (settled) return;
        if (error !== undefined && error !== null) fail(error);
        else if (!context.callbackWaitsForEmptyEventLoop) succeed(value);
        else this.onIdle = () => succeed(value);
      };
      const event = JSON.parse(body.toString('utf8'));
      result = this.callbacks ? this.handler(event, context, callback) : this.handler(event, context);
    } catch (e) {
      return fail(e);
    }
    if (result && typeof result.then === 'function') {
      // AWS tells an error only where the handler is declared async; else the answer is null.
      this.onIdle ??= isAsync(this.handler)
        ? () => fail(new RuntimeError('NodeJsExit',
          'The event loop is empty, but the promise that the handler returned was never settled.'))
        : () => succeed(null);
      result.then(succeed, fail);
    } else if (!this.callbacks) {
      succeed(result);
    } else {
      // Neither a promise nor yet a callback: the answer is null once nothing can call back.
      this.onIdle ??= () => succeed(null);
    }
  }

  async stream(headers, body) {
    const stream = new ResponseStream(this.api, this.requestId, this.handler[HIGH_WATER_MARK]);
    try {
      const context = contextOf(headers);
      const returned = this.handler(JSON.parse(body.toString('utf8')), stream, context);
      if (!returned || typeof returned.then !== 'function') {
        throw new Error('Streaming does not support non-async handlers.');
      }
      this.onIdle = () => this.failStream(stream, new Error('Response stream is not finished.'));
      if ((await returned) !== undefined) console.warn('Streaming handlers ignore return values.');
      this.onIdle = null;
      if (!stream.writableEnded) throw new Error('Response stream is not finished.');
      this.after(stream.answered);
    } catch (e) {
      this.failStream(stream, e);
    }
  }

  failStream(stream, error) {
    this.onIdle = null;
    if (stream.failed) return;
    log.error('Invoke Error', error);
    this.after(stream.fail(error));
  }
}

function isAsync(handler) {
  return handler.constructor?.name === 'AsyncFunction';
}

// contextOf makes the handler's second argument; the names are AWS's.
function contextOf(headers) {
  const env = process.env;
  const deadline = Number(headers['lambda-runtime-deadline-ms']);
  return {
    functionVersion: env.AWS_LAMBDA_FUNCTION_VERSION,
    functionName: env.AWS_LAMBDA_FUNCTION_NAME,
    memoryLimitInMB: env.AWS_LAMBDA_FUNCTION_MEMORY_SIZE,
    logGroupName: env.AWS_LAMBDA_LOG_GROUP_NAME,
    logStreamName: env.AWS_LAMBDA_LOG_STREAM_NAME,
    clientContext: parsed(headers, 'lambda-runtime-client-context', 'ClientContext'),
    identity: parsed(headers, 'lambda-runtime-cognito-identity', 'CognitoIdentity'),
    invokedFunctionArn: headers['lambda-runtime-invoked-function-arn'],
    awsRequestId: headers['lambda-runtime-aws-request-id'],
    tenantId: headers['lambda-runtime-aws-tenant-id'],
    getRemainingTimeInMillis: () => deadline - Date.now(),
  };
}

function parsed(headers, name, title) {
  if (headers[name] === undefined) return undefined;
  try {
    return JSON.parse(headers[name]);
  } catch (e) {
    throw new Error(`Cannot parse ${title} as json: ${e}`);
  }
}

// addLegacy adds what the runtimes with callbacks have.
function addLegacy(context, succeed, fail) {
  context.callbackWaitsForEmptyEventLoop = true;
  context.succeed = succeed;
  context.fail = (error) => fail(error === undefined || error === null ? 'handled' : error);
  context.done = (error, result) =>
    (error === undefined || error === null ? succeed(result) : fail(error));
}

module.exports = { Loop };
