// Opens a socket of each kind as one and the same thing: `send`, `onText`, `onEnd`, `close`.
import { createRequire } from 'node:module';
import WebSocket from 'ws';
import { Failed } from './scenario.mjs';
import { deferred, within } from './wait.mjs';

const require = createRequire(import.meta.url);

// Opens `URL/sockjs` with the one transport: a fall back to another must not pass for success.
export function openSockJs(url, transport) {
  // Loaded late: the watch on its requests has to be in place before.
  const SockJS = require('sockjs-client');
  const client = new SockJS(new URL('/sockjs', url).href, [], { transports: [transport] });
  return opened(client, `SockJS session over ${transport}`, ({ code, reason }) => `${code} ${reason}`);
}

// Opens `URL/websocket`, Meteor's address for sockets without SockJS around them.
export function openWebSocket(url, options = {}) {
  const client = new WebSocket(webSocketUrl(url), options);
  let refusal = '';
  client.on('error', (error) => (refusal = error.message));
  return opened(client, 'WebSocket', ({ code, reason }) => refusal || `${code} ${reason}`);
}

export function webSocketUrl(url) {
  const socket = new URL('/websocket', url);
  socket.protocol = url.protocol.replace('http', 'ws');
  return socket.href;
}

async function opened(client, what, describe) {
  const { promise, resolve, reject } = deferred();
  const socket = new Socket(client, describe);
  client.onopen = resolve;
  socket.onEnd = (why) => reject(new Failed(`${what} refused: ${why}`));
  await within(what, promise);
  return socket;
}

class Socket {
  onText = () => {};
  onEnd = () => {};

  constructor(client, describe) {
    this.client = client;
    client.onmessage = ({ data }) => this.onText(data);
    client.onclose = (event) => this.onEnd(describe(event));
  }

  send(text) {
    this.client.send(text);
  }

  close(code, reason) {
    this.client.close(code, reason);
  }
}
