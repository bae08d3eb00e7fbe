// A runtime whose function has finished its INIT and that is copied: it waits in
// restore/next, and each copy becomes an environment of its own there.
'use strict';

const crypto = require('crypto');

const { assume } = require('./lambdad-gate.js');

const KIND = process.env._LAMBDAD_TEMPLATE;

// More than Node.js keeps of what it has drawn for randomUUID and for randomInt.
const UUIDS_KEPT = 128;
const INTEGERS_KEPT = 1024;

const state = new BigUint64Array(2);

// random is xorshift128+, as V8's own, whose state nobody can renew.
function random() {
  let a = state[0];
  const b = state[1];
  state[0] = b;
  a ^= a << 23n;
  a ^= a >> 17n;
  a ^= b;
  a ^= b >> 26n;
  state[1] = a;
  return Number((a + b) & 0x1fffffffffffffn) / 2 ** 53;
}

function seed() {
  crypto.randomFillSync(state);
}

// prepare is called before the function's code, which may keep Math.random for itself.
function prepare() {
  if (KIND !== 'fork') {
    // OpenSSL draws anew in a process with another number. A copied machine's has the
    // same one, and no function of Node.js renews it.
    const error = new Error('Node.js cannot be copied with its whole machine: its copies would draw the same random bytes');
    error.name = 'Runtime.Unclonable';
    throw error;
  }
  seed();
  Object.defineProperty(Math, 'random', { value: random, writable: true, configurable: true, enumerable: false });
}

// wait returns when this process is an environment.
async function wait(api) {
  for (;;) {
    let answer;
    try {
      answer = await api.call('GET', 'restore/next');
    } catch (error) {
      if (error.code === 'ECONNREFUSED') throw error;
      continue; // this is a copy
    }
    if (answer.status !== 200) throw new Error(`GET restore/next: status ${answer.status}`);
    renew();
    assume(JSON.parse(answer.body.toString('utf8')).environment);
    return;
  }
}

// renew makes sure that no two copies draw the same.
function renew() {
  seed();
  for (let i = 0; i < UUIDS_KEPT; i++) crypto.randomUUID();
  for (let i = 0; i < INTEGERS_KEPT; i++) crypto.randomInt(2);
}

module.exports = { prepare, wait };
