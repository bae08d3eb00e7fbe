// One kept-alive connection to the Runtime API. It is a raw socket: the http
// module would cost a third of the start and most of an invocation's overhead.
'use strict';

const net = require('net');
const { describe } = require('./lambdad-errors.js');

const PREFIX = '/2018-06-01/runtime/';
const HEAD_END = Buffer.from('\r\n\r\n');
const JSON_TYPE = 'application/json';

class API {
  constructor(address) {
    const colon = address.lastIndexOf(':');
    this.host = address.slice(0, colon) || '127.0.0.1';
    this.port = Number(address.slice(colon + 1));
    this.authority = address;
    this.socket = null;
    this.waiting = null; // {resolve, reject} of the request under way
    this.data = null; // of a head that is not whole
    this.answer = this.parts = null; // the head and the body's parts so far
    this.need = this.got = 0; // the body's bytes
  }

  // next waits for an invocation: {headers, body}.
  async next() {
    const reused = this.socket !== null;
    let answer;
    try {
      answer = await this.call('GET', 'invocation/next');
    } catch (e) {
      if (!reused) throw e; // only an idle connection may have gone unnoticed
      answer = await this.call('GET', 'invocation/next');
    }
    if (answer.status !== 200) throw new Error(`GET invocation/next: status ${answer.status}`);
    return answer;
  }

  postResponse(id, body) {
    return this.post(`invocation/${id}/response`, body, [['Content-Type', JSON_TYPE]]);
  }

  postError(id, error) {
    return this.postDescribed(`invocation/${id}/error`, error);
  }

  postInitError(error) {
    return this.postDescribed('init/error', error);
  }

  postDescribed(path, error) {
    const described = describe(error);
    return this.post(path, JSON.stringify(described), [
      ['Content-Type', JSON_TYPE],
      ['Lambda-Runtime-Function-Error-Type', fieldValue(described.errorType)],
    ]);
  }

  async post(path, body, fields) {
    return accepted(path, await this.call('POST', path, body, fields));
  }

  // call sends a request and resolves to {status, headers, body}.
  call(method, path, body = '', fields = []) {
    const bytes = Buffer.from(body);
    const answer = this.expect();
    this.socket.cork();
    this.socket.write(this.head(method, path, [...fields, ['Content-Length', bytes.length]]), 'latin1');
    if (bytes.length > 0) this.socket.write(bytes);
    this.socket.uncork();
    return answer;
  }

  // openStream begins a streamed response on the connection.
  openStream(path, fields) {
    const answer = this.expect().then((a) => accepted(path, a));
    answer.catch(() => {}); // told by end as well
    this.socket.write(this.head('POST', path, [...fields, ['Transfer-Encoding', 'chunked']]), 'latin1');
    const socket = this.socket;
    return {
      write(chunk, done) {
        if (chunk.length === 0) return done();
        socket.cork();
        socket.write(chunk.length.toString(16) + '\r\n', 'latin1');
        socket.write(chunk);
        socket.write('\r\n', 'latin1', done);
        socket.uncork();
      },
      end(trailers = []) {
        socket.write('0\r\n' + trailers.map(([n, v]) => `${n}: ${v}\r\n`).join('') + '\r\n', 'latin1');
        return answer;
      },
    };
  }

  head(method, path, fields) {
    let head = `${method} ${path.startsWith('/') ? '' : PREFIX}${path} HTTP/1.1\r\nHost: ${this.authority}\r\n`;
    for (const [name, value] of fields) head += `${name}: ${value}\r\n`;
    return head + '\r\n';
  }

  // expect makes ready for one answer. The socket keeps the process alive only
  // while it is waited for, so that 'beforeExit' tells an empty event loop.
  expect() {
    if (this.waiting) throw new Error('a request to the Runtime API is under way');
    if (!this.socket) this.connect();
    this.socket.ref();
    return new Promise((resolve, reject) => {
      this.waiting = { resolve, reject };
    });
  }

  // reset gives up the connection and the request under way.
  reset() {
    if (!this.waiting) return;
    const socket = this.socket;
    this.socket = this.waiting = this.data = this.parts = null;
    socket.destroy();
  }

  connect() {
    const socket = net.connect({ host: this.host, port: this.port, noDelay: true });
    const lost = (error) => {
      if (this.socket !== socket) return;
      const waiting = this.waiting;
      this.socket = this.waiting = this.data = this.parts = null;
      if (waiting) waiting.reject(error || new Error('the Runtime API closed the connection'));
    };
    socket.on('error', lost);
    socket.on('close', () => lost());
    socket.on('data', (chunk) => this.receive(chunk));
    this.socket = socket;
  }

  receive(chunk) {
    if (this.parts) {
      this.parts.push(chunk);
      this.got += chunk.length;
    } else {
      this.data = this.data ? Buffer.concat([this.data, chunk]) : chunk;
      const end = this.data.indexOf(HEAD_END);
      if (end < 0) return;
      this.answer = parseHead(this.data.toString('utf8', 0, end));
      this.parts = [this.data.subarray(end + HEAD_END.length)];
      this.got = this.parts[0].length;
      this.need = Number(this.answer.headers['content-length'] || 0);
    }
    if (this.got < this.need) return;
    const { answer, parts, waiting } = this;
    this.parts = this.data = this.answer = this.waiting = null;
    answer.body = parts.length === 1 ? parts[0] : Buffer.concat(parts);
    this.socket.unref();
    if (answer.headers.connection === 'close') this.socket = null;
    if (waiting) waiting.resolve(answer);
  }
}

function parseHead(text) {
  const lines = text.split('\r\n');
  const headers = {};
  for (let i = 1; i < lines.length; i++) {
    const colon = lines[i].indexOf(':');
    headers[lines[i].slice(0, colon).toLowerCase()] = lines[i].slice(colon + 1).trim();
  }
  return { status: Number(lines[0].split(' ', 2)[1]), headers, body: null };
}

// accepted lets 413 pass: the invocation then has the API's own error.
function accepted(path, answer) {
  if (answer.status === 202 || answer.status === 413) return answer;
  throw new Error(`POST ${path}: status ${answer.status}: ${answer.body}`);
}

// fieldValue makes text fit for a header.
function fieldValue(text) {
  return String(text).replace(/[^\x20-\x7e]/g, '?');
}

module.exports = { API, fieldValue };
