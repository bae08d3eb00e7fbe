// console.* as AWS's Node.js runtime has it: one log event a call.
'use strict';

const util = require('util');
const errors = require('./lambdad-errors.js');

const LEVELS = ['TRACE', 'DEBUG', 'INFO', 'WARN', 'ERROR', 'FATAL'];
const METHODS = { trace: 0, debug: 1, info: 2, log: 2, warn: 3, error: 4, fatal: 5 };
// AWS keeps the id here, and other libraries read it.
const REQUEST_ID = Symbol.for('aws.lambda.runtime.requestId');

let tenantId;
let jsonFormat = false;

function setInvocation(requestId, tenant) {
  globalThis[REQUEST_ID] = requestId;
  tenantId = tenant;
}

function patchConsole() {
  jsonFormat = (process.env.AWS_LAMBDA_LOG_FORMAT || '').toUpperCase() === 'JSON';
  const least = Math.max(0, LEVELS.indexOf((process.env.AWS_LAMBDA_LOG_LEVEL || '').toUpperCase()));
  for (const [method, level] of Object.entries(METHODS)) {
    console[method] = level < least && level < 5 ? () => {} : (...params) => write(level, params);
  }
}

function write(level, params) {
  const line = jsonFormat ? jsonLine(LEVELS[level], params) : textLine(LEVELS[level], params);
  // Output is split into log events at newlines; this stands for one inside an event.
  process.stdout.write(line.replace(/\n/g, '\x1e\r') + '\n');
}

function textLine(level, params) {
  return `${new Date().toISOString()}\t${globalThis[REQUEST_ID]}\t${level}\t${util.format(...params)}`;
}

function jsonLine(level, params) {
  const entry = { timestamp: new Date().toISOString(), level, requestId: globalThis[REQUEST_ID] };
  if (tenantId) entry.tenantId = tenantId;
  if (params.length === 1) {
    try {
      return JSON.stringify({ ...entry, message: params[0] }, describeErrors);
    } catch {
      // a cycle, a BigInt: as text
    }
  }
  entry.message = util.format(...params);
  const error = params.length > 1 && params.find((p) => p instanceof Error);
  if (error) Object.assign(entry, describeErrors('', error));
  return JSON.stringify(entry);
}

function describeErrors(_key, value) {
  if (!(value instanceof Error)) return value;
  return {
    errorType: value.constructor?.name ?? 'UnknownError',
    errorMessage: value.message,
    stackTrace: typeof value.stack === 'string' ? value.stack.split('\n') : [],
    ...value,
  };
}

// error logs an error of the function.
function error(title, e) {
  if (jsonFormat) {
    console.error(errors.toError(e));
  } else {
    console.error(title, '\t' + errors.format(errors.toError(e)));
  }
}

module.exports = { patchConsole, setInvocation, error };
