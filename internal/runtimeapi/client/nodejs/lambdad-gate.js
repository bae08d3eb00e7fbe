// A runtime that starts before its function is known: it loads what AWS's client and
// the SDK load, waits, and takes the function's environment on.
'use strict';

// Node.js's own modules, which take most of an SDK's time to load.
for (const name of ['buffer', 'crypto', 'events', 'http', 'https', 'os', 'stream', 'tls', 'util', 'zlib']) require(name);

const START = '/2018-06-01/lambdad/start';

// wait becomes the runtime of a function when there is one.
async function wait(api) {
  await rehearse().catch(() => {}); // it would cost the function time, and nothing else
  forget();
  const answer = await api.call('GET', START);
  if (answer.status !== 200) throw new Error(`GET ${START}: status ${answer.status}`);
  assume(JSON.parse(answer.body.toString('utf8')).environment);
}

// rehearse loads a handler and calls it once, by the way that a function's goes. Most of a
// small function's first invoke is code of Node.js and of this client that runs for the
// first time, the loader of ES modules before all.
async function rehearse() {
  const { load } = require('./lambdad-loader.js');
  const { Loop } = require('./lambdad-loop.js');
  const handler = await load(__dirname, 'lambdad-rehearsal.handler');
  await new Promise((resolve, reject) => {
    const invocation = { headers: { 'lambda-runtime-deadline-ms': '0' }, body: Buffer.from('{}') };
    const api = {
      next: async () => invocation,
      postResponse: async () => {
        api.next = () => {
          resolve();
          return new Promise(() => {}); // and this loop is over
        };
      },
      postError: async () => reject(new Error('the rehearsal failed')),
    };
    new Loop(api).start(handler);
  });
}

// forget takes away what the rehearsal left among the globals.
function forget() {
  delete globalThis.awslambda;
  delete globalThis[Symbol.for('aws.lambda.runtime.requestId')];
}

// assume takes on an environment, as if the program had been started with it.
function assume(environment) {
  for (const name of Object.keys(process.env)) if (!(name in environment)) delete process.env[name];
  Object.assign(process.env, environment); // TZ takes effect as it is set
  try {
    process.chdir(environment.LAMBDA_TASK_ROOT || '/var/task');
  } catch {
    // as if it had been started there without its directory
  }
}

module.exports = { assume, wait };
