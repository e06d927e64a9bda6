// The SockJS server that Meteor pins, with Meteor's options, as an app behind the edge.
//
// It sends back what it gets, tells its name when asked for its `instance`, and has a page at every path, as Meteor
// does.
import { createServer } from 'node:http';
import { parseArgs } from 'node:util';
import zlib from 'node:zlib';
import deflate from 'permessage-deflate';
import sockjs from 'sockjs';

const PREFIX = '/sockjs';
const IDLE_MS = 5_000;
const ANSWERING_MS = 120_000;

const { values: options } = parseArgs({
  options: {
    port: { type: 'string', default: '0' },
    instance: { type: 'string', default: 'sockjs-1-a' },
  },
});

const server = createServer(page);
installSockJs(server);
closeIdleConnectionsAsMeteorDoes(server);
acceptPlainWebSockets(server);
server.listen(Number(options.port), '127.0.0.1', () => {
  console.log(`listening on http://127.0.0.1:${server.address().port}`);
});

function page(_request, response) {
  response.setHeader('Content-Type', 'text/html; charset=utf-8');
  response.end(`<!doctype html><html lang="en"><title>SockJS</title><h1 id="instance">${options.instance}</h1>`);
}

function installSockJs(server) {
  const service = sockjs.createServer({
    prefix: PREFIX,
    log: () => {},
    heartbeat_delay: 45_000,
    disconnect_delay: 60_000,
    disable_cors: false,
    jsessionid: false,
    faye_server_options: { extensions: [compression()] },
  });
  service.on('connection', (session) => {
    // sockjs hands out null for a client that was gone before its session began.
    session?.on('data', (text) => session.write(text === 'instance' ? `instance ${options.instance}` : text));
  });
  service.installHandlers(server);
}

// Meteor's settings, without its threshold: permessage-deflate 0.1.7 does not know one, and compresses every message.
function compression() {
  return deflate.configure({
    level: zlib.constants.Z_BEST_SPEED,
    memLevel: zlib.constants.Z_MIN_MEMLEVEL,
    noContextTakeover: true,
    maxWindowBits: zlib.constants.Z_MIN_WINDOWBITS,
  });
}

// Meteor closes a connection that was idle for 5 s, and gives an open request 120 s: a proxy's pool must be quicker.
function closeIdleConnectionsAsMeteorDoes(server) {
  server.setTimeout(IDLE_MS);
  server.on('request', (request, response) => {
    request.setTimeout(ANSWERING_MS);
    // Before Node's own listener, which parts the response from its socket.
    response.prependListener('finish', () => response.setTimeout(IDLE_MS));
  });
}

// Sockets without SockJS around them come to /websocket, which sockjs serves one level down.
function acceptPlainWebSockets(server) {
  for (const event of ['request', 'upgrade']) {
    const listeners = server.listeners(event);
    server.removeAllListeners(event);
    server.on(event, (request, ...rest) => {
      request.url = request.url.replace(/^\/websocket\/?(?=$|\?)/, `${PREFIX}/websocket`);
      for (const listener of listeners) listener.call(server, request, ...rest);
    });
  }
}
