// Everything of function.js with callbacks.
'use strict';

for (const [name, handler] of Object.entries(require('./function.js'))) {
  if (typeof handler !== 'function') continue;
  exports[name] = (event, context, callback) => {
    context.callbackWaitsForEmptyEventLoop = false;
    handler(event, context).then((result) => callback(null, result), callback);
  };
}
