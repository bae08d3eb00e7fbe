// Errors as AWS's Node.js runtime reports them.
'use strict';

class RuntimeError extends Error {
  constructor(kind, reason) {
    super(reason);
    this.name = 'Runtime.' + kind;
    // The stack was captured before the name was set.
    if (typeof this.stack === 'string') this.stack = this.stack.replace(/^Error/, this.name);
  }
}

class UnhandledPromiseRejection extends RuntimeError {
  constructor(reason) {
    super('UnhandledPromiseRejection', reasonText(reason));
    this.reason = reason;
  }
}

function reasonText(reason) {
  try {
    return String(reason);
  } catch {
    return 'a value that has no text';
  }
}

// describe makes the JSON object of an error; the order of its members is AWS's.
function describe(error) {
  try {
    if (isError(error)) {
      return { errorType: error.name, errorMessage: error.message, trace: error.stack.split('\n') };
    }
    return { errorType: typeof error, errorMessage: String(error), trace: [] };
  } catch {
    return { errorType: 'handled', errorMessage: 'the error could not be read', trace: [] };
  }
}

// isError also takes errors of another realm (vm contexts).
function isError(e) {
  return e instanceof Error && typeof e.stack === 'string' ||
    !!e && typeof e === 'object' && ['name', 'message', 'stack'].every((k) => typeof e[k] === 'string');
}

function toError(e) {
  return e instanceof Error ? e : new Error(reasonText(e));
}

// expanded shows what JSON.stringify would not: the members of errors that are
// not enumerable.
function expanded(_key, value) {
  if (!(value instanceof Error)) return value;
  const shown = { errorType: value.name, errorMessage: value.message, code: value.code, ...value };
  if (typeof value.stack === 'string') shown.stack = value.stack.split('\n');
  return shown;
}

function format(error) {
  try {
    return JSON.stringify(error, expanded);
  } catch {
    return JSON.stringify(describe(error));
  }
}

module.exports = { RuntimeError, UnhandledPromiseRejection, describe, format, isError, toError };
