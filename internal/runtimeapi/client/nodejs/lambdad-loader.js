// Finds the function's handler: "dir/module.path.to.function" below the task root.
'use strict';

const fs = require('fs');
const path = require('path');
const { pathToFileURL } = require('url');
const { RuntimeError } = require('./lambdad-errors.js');
const { provideGlobal } = require('./lambdad-stream.js');

const NODE_MAJOR = Number(process.versions.node.split('.')[0]);
const TYPESCRIPT_SINCE = 24; // types are stripped by node itself

async function load(root, name) {
  if (name.includes('..')) {
    throw new RuntimeError('MalformedHandlerName',
      `'${name}' is not a valid handler name. Use absolute paths when specifying root directories in handler names.`);
  }
  const slash = name.lastIndexOf('/') + 1;
  const dot = name.indexOf('.', slash);
  if (dot < 0) throw new RuntimeError('MalformedHandlerName', 'Bad handler');
  provideGlobal();
  const module = await loadModule(root, name.slice(0, slash), name.slice(slash, dot));
  let handler = module;
  for (const key of name.slice(dot + 1).split('.')) handler = handler && handler[key];
  if (!handler) throw new RuntimeError('HandlerNotFound', `${name} is undefined or not exported`);
  if (typeof handler !== 'function') throw new RuntimeError('HandlerNotFound', `${name} is not a function`);
  checkSignature(handler);
  return handler;
}

async function loadModule(root, dir, module) {
  try {
    return await find(root, dir, module);
  } catch (e) {
    if (e instanceof SyntaxError) throw wrapped('UserCodeSyntaxError', e);
    if (e && e.code === 'MODULE_NOT_FOUND') throw wrapped('ImportModuleError', asRequired(e));
    throw e;
  }
}

// asRequired names AWS's one file, /var/runtime/index.mjs, in the place of this client's files,
// as what requires the function.
function asRequired(e) {
  const own = new RegExp(`(\\n- ${__dirname.replace(/[^\w/]/g, '\\$&')}/[^\n/]+)+`);
  for (const key of ['message', 'stack']) {
    if (typeof e[key] === 'string') e[key] = e[key].replace(own, `\n- ${__dirname}/index.mjs`);
  }
  return e;
}

// wrapped keeps the original's text and place in one of the runtime's errors.
function wrapped(kind, e) {
  const error = new RuntimeError(kind, String(e));
  if (typeof e.stack === 'string') error.stack = `${error.name}: ${e.stack}`;
  return error;
}

// find tries the module's file with each ending, in AWS's order.
async function find(root, dir, module) {
  const base = path.resolve(root, dir, module);
  const esm = isModulePackage(path.dirname(base));
  const types = NODE_MAJOR >= TYPESCRIPT_SINCE;
  const candidates = [['', false], ['.js', esm], ['.mjs', true], ['.cjs', false]];
  if (types) candidates.push(['.ts', esm], ['.mts', true], ['.cts', false]);
  for (const [ending, asModule] of candidates) {
    const file = base + ending;
    if (!isFile(file)) continue;
    return asModule ? import(pathToFileURL(file)) : require(file);
  }
  return require(require.resolve(module, { paths: [root, dir] }));
}

function isFile(file) {
  return fs.statSync(file, { throwIfNoEntry: false })?.isFile() ?? false;
}

// isModulePackage looks for the nearest package.json.
function isModulePackage(dir) {
  for (;;) {
    if (dir.endsWith('/node_modules')) return false;
    const file = path.join(dir, 'package.json');
    if (isFile(file)) {
      try {
        return JSON.parse(fs.readFileSync(file, 'utf8'))?.type === 'module';
      } catch (e) {
        console.warn(`${file} cannot be read: ${e.message}`);
        return false;
      }
    }
    const parent = path.dirname(dir);
    if (parent === dir) return false;
    dir = parent;
  }
}

// From nodejs24.x on AWS has no callbacks. The runtime's identifier decides and
// not the interpreter, which may be the host's nearest.
function checkSignature(handler) {
  const streaming = handler[Symbol.for('aws.lambda.runtime.handler.streaming')];
  if (!callbacksAllowed() && !streaming && handler.length >= 3) {
    throw new RuntimeError('CallbackHandlerDeprecated',
      'Handlers with a callback are not supported in this runtime. Return a promise instead.');
  }
}

function callbacksAllowed() {
  const match = /^AWS_Lambda_nodejs(\d+)\./.exec(process.env.AWS_EXECUTION_ENV || '');
  return !match || Number(match[1]) < 24;
}

module.exports = { load, callbacksAllowed };
