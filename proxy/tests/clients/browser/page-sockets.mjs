// SockJS sessions of a page, driven from here: what the page's socket gets is told to us, what we send it sends.
import { Failed } from '../lib/scenario.mjs';
import { deferred, within } from '../lib/wait.mjs';

export class PageSockets {
  #page;
  #sockets = [];

  static async of(page) {
    const sockets = new PageSockets(page);
    await page.exposeFunction('tell', (id, event, text) => sockets.#sockets[id].hear(event, text));
    await page.evaluate(() => (window.sockets = []));
    return sockets;
  }

  constructor(page) {
    this.#page = page;
  }

  async open(transport) {
    const socket = new PageSocket(this.#page, this.#sockets.length);
    this.#sockets.push(socket);
    const opened = within(`SockJS session over ${transport} in the page`, socket.opened);
    await Promise.all([opened, this.#page.evaluate(openInPage, { id: socket.id, transport })]);
    return socket;
  }
}

// Runs in the page.
function openInPage({ id, transport }) {
  const socket = new SockJS('/sockjs', [], { transports: [transport] });
  socket.onopen = () => tell(id, 'open');
  socket.onmessage = ({ data }) => tell(id, 'text', data);
  socket.onclose = ({ code, reason }) => tell(id, 'end', `${code} ${reason}`);
  window.sockets[id] = socket;
}

class PageSocket {
  #opening = deferred();
  #page;
  onText = () => {};
  onEnd = (why) => this.#opening.reject(new Failed(`SockJS session refused: ${why}`));

  constructor(page, id) {
    this.#page = page;
    this.id = id;
  }

  get opened() {
    return this.#opening.promise;
  }

  hear(event, text) {
    if (event === 'open') this.#opening.resolve();
    if (event === 'text') this.onText(text);
    if (event === 'end') this.onEnd(text);
  }

  send(text) {
    return this.#page.evaluate(({ id, text }) => window.sockets[id].send(text), { id: this.id, text });
  }

  close() {
    return this.#page.evaluate((id) => window.sockets[id].close(), this.id);
  }
}
