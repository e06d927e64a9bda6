// A small reverse proxy that sticks as it is told, so that the scripts can be seen to hold and to fail.
import { once } from 'node:events';
import http from 'node:http';

// How a backend is picked: `pin` gives the number of one, or nothing where any will do.
export const STICKINESS = {
  cookie: { setsCookie: true, pin: ({ headers }) => /(?:^|;\s*)karman=(\d+)/.exec(headers.cookie ?? '')?.[1] },
  path: { pin: ({ url }) => /^\/sockjs\/[^/]+\/([^/]+)\//.exec(url)?.[1].charCodeAt(0) },
  // Sets a cookie and forgets about it: what an edge with a bug does.
  never: { setsCookie: true, pin: () => undefined },
};

export async function standIn({ backends, stickiness = STICKINESS.never, downPage }) {
  const server = http.createServer();
  const balancer = new Balancer(backends, stickiness, downPage);
  server.on('request', (request, response) => balancer.forward(request, response));
  server.on('upgrade', (request, socket, head) => balancer.tunnel(request, socket, head));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${server.address().port}`,
    use: (others) => (balancer.backends = others),
    close: () => {
      server.close();
      server.closeAllConnections();
    },
  };
}

class Balancer {
  #turns = {};

  constructor(backends, stickiness, downPage) {
    this.backends = backends;
    this.stickiness = stickiness;
    this.downPage = downPage;
  }

  forward(request, response) {
    if (this.backends.length === 0) return this.#isDown(response);
    const { sent, headers } = this.#send(request);
    sent.on('response', (answer) => {
      response.writeHead(answer.statusCode, [...answer.rawHeaders, ...headers]);
      answer.pipe(response);
    });
    sent.on('error', () => this.#isDown(response));
    request.pipe(sent);
  }

  tunnel(request, socket, head) {
    const { sent, headers } = this.#send(request);
    sent.on('upgrade', (answer, upstream, first) => {
      socket.write(`HTTP/1.1 101 Switching Protocols\r\n${lines([...answer.rawHeaders, ...headers])}\r\n`);
      socket.write(first);
      upstream.write(head);
      join(socket, upstream);
    });
    sent.on('response', (answer) => socket.end(`HTTP/1.1 ${answer.statusCode} Refused\r\n\r\n`));
    sent.on('error', () => socket.destroy());
    sent.end();
  }

  #send(request) {
    const pinned = this.stickiness.pin(request);
    const number = Number(pinned ?? this.#turn(request.url)) % this.backends.length;
    const { hostname, port } = new URL(this.backends[number]);
    const sent = http.request({ hostname, port, path: request.url, method: request.method, headers: request.headers });
    const isNew = this.stickiness.setsCookie && pinned === undefined;
    return { sent, headers: isNew ? ['Set-Cookie', `karman=${number}; Path=/; HttpOnly; SameSite=Lax`] : [] };
  }

  // Each kind of request takes turns of its own: with one turn for all, two kinds that alternate would stick by chance.
  #turn(path) {
    const kind = path.split('/').at(-1);
    this.#turns[kind] = (this.#turns[kind] ?? -1) + 1;
    return this.#turns[kind];
  }

  #isDown(response) {
    if (response.headersSent) return response.destroy();
    response.writeHead(503, { 'Content-Type': 'text/html', 'x-karman-error': 'app-down' });
    response.end(this.downPage);
  }
}

function lines(rawHeaders) {
  let text = '';
  for (let at = 0; at < rawHeaders.length; at += 2) text += `${rawHeaders[at]}: ${rawHeaders[at + 1]}\r\n`;
  return text;
}

// One end going down takes the other along.
function join(one, other) {
  one
    .pipe(other)
    .on('close', () => one.destroy())
    .on('error', () => one.destroy());
  other
    .pipe(one)
    .on('close', () => other.destroy())
    .on('error', () => other.destroy());
}
