// Response streaming: awslambda.streamifyResponse and the stream it gives.
'use strict';

const { Writable } = require('stream');
const { RuntimeError, describe } = require('./lambdad-errors.js');

const STREAMING = Symbol.for('aws.lambda.runtime.handler.streaming');
const HIGH_WATER_MARK = Symbol.for('aws.lambda.runtime.handler.streaming.highWaterMark');
const PRELUDE_TYPE = 'application/vnd.awslambda.http-integration-response';
const PRELUDE_END = Buffer.alloc(8); // eight NUL bytes divide the prelude from the body
const ERROR_TYPE = 'Lambda-Runtime-Function-Error-Type';
const ERROR_BODY = 'Lambda-Runtime-Function-Error-Body';

class ResponseStream extends Writable {
  constructor(api, requestId, highWaterMark) {
    super(Number.isInteger(highWaterMark) ? { highWaterMark } : {});
    this.api = api;
    this.requestId = requestId;
    this.contentType = 'application/octet-stream';
    this.prelude = null;
    this.request = null; // made by the first write
    this.failed = false;
    this.answered = new Promise((resolve, reject) => Object.assign(this, { resolve, reject }));
    this.on('error', () => {}); // a failure is told through fail
  }

  setContentType(type) {
    if (this.request) throw new RuntimeError('InvalidStreamingOperation', 'Cannot set content-type, too late.');
    this.contentType = String(type).replace(/[\r\n]/g, ' ');
  }

  write(chunk, ...rest) {
    if (typeof chunk !== 'string' && !(chunk instanceof Uint8Array)) chunk = JSON.stringify(chunk);
    return super.write(chunk, ...rest);
  }

  open() {
    if (this.request) return;
    this.request = this.api.openStream(`invocation/${this.requestId}/response`, [
      ['Lambda-Runtime-Function-Response-Mode', 'streaming'],
      ['Content-Type', this.contentType],
      ['Trailer', `${ERROR_TYPE}, ${ERROR_BODY}`],
    ]);
    if (this.prelude) this.request.write(this.prelude, () => {});
  }

  _write(chunk, _encoding, done) {
    if (this.failed) return done(new Error('the response has failed'));
    this.open();
    this.request.write(chunk, done);
  }

  _final(done) {
    if (this.failed) return done();
    this.open();
    this.request.end().then(this.resolve, this.reject);
    done();
  }

  // fail ends the response with an error: in the trailer, if something has been sent.
  fail(error) {
    this.failed = true;
    if (this.writableFinished) return this.answered; // whole already: too late to fail
    if (!this.request) return this.api.postError(this.requestId, error);
    const described = describe(error);
    const body = Buffer.from(JSON.stringify(described)).toString('base64');
    return this.request.end([
      [ERROR_TYPE, String(described.errorType).replace(/[^\x20-\x7e]/g, '?')],
      [ERROR_BODY, body],
    ]);
  }
}

class HttpResponseStream {
  // from sends status code, headers and cookies ahead of the body.
  static from(stream, prelude) {
    stream.setContentType(PRELUDE_TYPE);
    stream.prelude = Buffer.concat([Buffer.from(JSON.stringify(prelude)), PRELUDE_END]);
    return stream;
  }
}

// provideGlobal makes globalThis.awslambda, unless the function does not want it.
function provideGlobal() {
  if (['1', 'true'].includes(process.env.AWS_LAMBDA_NODEJS_NO_GLOBAL_AWSLAMBDA)) return;
  globalThis.awslambda = {
    streamifyResponse(handler, options) {
      handler[STREAMING] = 'response';
      if (typeof options?.highWaterMark === 'number') handler[HIGH_WATER_MARK] = options.highWaterMark;
      return handler;
    },
    HttpResponseStream,
  };
}

module.exports = { STREAMING, HIGH_WATER_MARK, ResponseStream, provideGlobal };
