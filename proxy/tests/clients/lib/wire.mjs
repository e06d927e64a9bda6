// Watches what sockjs-client sends from Node, and carries cookies for it where asked: it knows of none itself.
//
// Its two doors to the network, `http.request` and faye-websocket's client, are replaced, so this must be called before
// sockjs-client is loaded.
import http from 'node:http';
import faye from 'faye-websocket';

export function watch({ cookies }) {
  const wire = { requests: [], jar: cookies ? new Jar() : undefined };
  // A kept connection would look like stickiness to an edge that balances connections: each request has its own.
  http.globalAgent = new http.Agent({ keepAlive: false });
  watchRequests(wire);
  watchWebSockets(wire);
  return wire;
}

function watchRequests({ requests, jar }) {
  const request = http.request;
  http.request = (options, onResponse) => {
    const sent = request({ ...options, headers: { ...options.headers, ...jar?.headers() } }, onResponse);
    sent.once('response', ({ headers }) => {
      jar?.take(headers['set-cookie']);
      requests.push(entry(options.path, headers));
    });
    return sent;
  };
}

function watchWebSockets({ requests, jar }) {
  faye.Client = class extends faye.Client {
    constructor(url, protocols, options) {
      super(url, protocols, { ...options, headers: { ...options?.headers, ...jar?.headers() } });
      this.once('open', () => {
        jar?.take([this.headers['set-cookie'] ?? []].flat());
        requests.push(entry(new URL(url).pathname, this.headers));
      });
    }
  };
}

// The last part of a SockJS path is what the request is for: info, websocket, xhr, xhr_send.
function entry(path, headers) {
  return { kind: path.split('/').at(-1).split('?')[0], instance: headers['x-karman-instance'] };
}

// As much of a browser's cookie jar as one host needs.
class Jar {
  #cookies = new Map();
  #everSet = new Set();
  carried = 0;

  get names() {
    return [...this.#everSet];
  }

  headers() {
    if (this.#cookies.size === 0) return {};
    this.carried += 1;
    return { Cookie: [...this.#cookies].map(([name, value]) => `${name}=${value}`).join('; ') };
  }

  take(setCookies = []) {
    for (const header of setCookies) {
      const [, name, value, attributes] = /^\s*([^=;\s]+)\s*=\s*([^;]*)(.*)$/.exec(header) ?? [];
      if (!name) continue;
      this.#everSet.add(name);
      if (/;\s*max-age\s*=\s*0/i.test(attributes)) this.#cookies.delete(name);
      else this.#cookies.set(name, value);
    }
  }
}
