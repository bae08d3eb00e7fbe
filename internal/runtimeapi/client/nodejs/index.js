// Starts the Node.js runtime client: loads the function and serves invocations.
'use strict';

const { API } = require('./lambdad-api.js');
const errors = require('./lambdad-errors.js');
const log = require('./lambdad-console.js');
const { load } = require('./lambdad-loader.js');
const { Loop } = require('./lambdad-loop.js');

// Exit statuses of AWS's client, which its users see in Runtime.ExitError.
const EXIT_REJECTION = 128;
const EXIT_EXCEPTION = 129;

const api = new API(process.env.AWS_LAMBDA_RUNTIME_API);
const loop = new Loop(api);

function fail(title, error, status) {
  log.error(title, error);
  const exit = () => process.exit(status);
  api.reset(); // whatever was under way on the connection is lost with the process
  const report = loop.requestId ? api.postError(loop.requestId, error) : api.postInitError(error);
  report.then(exit, exit);
}

async function init() {
  const snapshot = '_LAMBDAD_TEMPLATE' in process.env ? require('./lambdad-snapshot.js') : null;
  if (snapshot) snapshot.prepare();
  const handler = await load(process.env.LAMBDA_TASK_ROOT || '/var/task', process.env._HANDLER || '');
  if (snapshot) await snapshot.wait(api);
  return handler;
}

function begin() {
  log.patchConsole();
  process.on('uncaughtException', (error) => fail('Uncaught Exception', error, EXIT_EXCEPTION));
  process.on('unhandledRejection', (reason) =>
    fail('Unhandled Promise Rejection', new errors.UnhandledPromiseRejection(reason), EXIT_REJECTION));
  process.on('beforeExit', () => loop.idle());
  init().then(
    (handler) => loop.start(handler),
    (error) => fail('Uncaught Exception', error, EXIT_EXCEPTION));
}

if ('_LAMBDAD_WAIT' in process.env) require('./lambdad-gate.js').wait(api).then(begin);
else begin();
