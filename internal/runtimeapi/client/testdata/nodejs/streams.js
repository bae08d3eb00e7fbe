// Everything of function.js, with answers that are streamed.
'use strict';

for (const [name, handler] of Object.entries(require('./function.js'))) {
  if (typeof handler !== 'function') continue;
  exports[name] = awslambda.streamifyResponse(async (event, stream, context) => {
    const result = await handler(event, context);
    stream.setContentType('application/json');
    stream.write(JSON.stringify(result ?? null));
    stream.end();
  });
}
