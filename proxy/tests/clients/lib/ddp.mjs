// Speaks DDP, Meteor's protocol, over any text socket.
import { randomUUID } from 'node:crypto';
import { Failed } from './scenario.mjs';
import { Inbox } from './wait.mjs';

export class Ddp {
  #socket;
  #inbox = new Inbox();
  #nextId = 1;

  static async over(socket) {
    const ddp = new Ddp(socket);
    const connected = ddp.#inbox.next('"connected"', ({ msg }) => msg === 'connected');
    ddp.#send({ msg: 'connect', version: '1', support: ['1', 'pre2', 'pre1'] });
    await connected;
    return ddp;
  }

  constructor(socket) {
    this.#socket = socket;
    socket.onText = (text) => this.#receive(JSON.parse(text));
    socket.onEnd = (why) => this.#inbox.end(why);
  }

  // A method is finished only when both its result and the end of its writes were announced.
  async call(method, ...params) {
    const id = this.#id();
    const result = this.#inbox.next(`result of ${method}`, (got) => got.msg === 'result' && got.id === id);
    const updated = this.#inbox.next(
      `"updated" of ${method}`,
      (got) => got.msg === 'updated' && got.methods.includes(id),
    );
    this.#send({ msg: 'method', id, method, params });
    const [answer] = await Promise.all([result, updated]);
    if (answer.error) throw new Failed(`${method} was answered with ${JSON.stringify(answer.error)}`);
    return answer.result;
  }

  async subscribe(name, ...params) {
    const id = this.#id();
    const ready = (got) => got.msg === 'ready' && got.subs.includes(id);
    const refused = (got) => got.msg === 'nosub' && got.id === id;
    const answer = this.#inbox.next(`"ready" of ${name}`, (got) => ready(got) || refused(got));
    this.#send({ msg: 'sub', id, name, params });
    if (refused(await answer)) throw new Failed(`the publication ${name} was refused`);
  }

  // The next document that comes in with `value` in one of its fields.
  added(collection, value) {
    const holds = (fields) => Object.values(fields ?? {}).includes(value);
    return this.#inbox.next(
      `"added" of "${value}" in ${collection}`,
      (got) => got.msg === 'added' && got.collection === collection && holds(got.fields),
    );
  }

  removed(collection, id) {
    return this.#inbox.next(
      `"removed" of ${id} in ${collection}`,
      (got) => got.msg === 'removed' && got.collection === collection && got.id === id,
    );
  }

  // A ping in the protocol itself, as Meteor's heartbeat sends it.
  async ping() {
    const id = this.#id();
    const pong = this.#inbox.next('"pong"', (got) => got.msg === 'pong' && got.id === id);
    this.#send({ msg: 'ping', id });
    await pong;
  }

  // The sample app's own: who serves this session.
  async instance() {
    return (await this.call('instance')).instance;
  }

  // The sample app's own: the same value back.
  echo(value) {
    return this.call('echo', value);
  }

  // The sample app's own: a todo of ours comes back as data, and goes again, so that the list never fills up.
  async writeTodo() {
    const text = `todo ${randomUUID()}`;
    await this.subscribe('todos');
    const [{ id }] = await Promise.all([this.added('todos', text), this.call('todos.insert', text)]);
    await Promise.all([this.removed('todos', id), this.call('todos.remove', id)]);
  }

  #receive(message) {
    if (message.msg === 'ping') this.#send({ msg: 'pong', id: message.id });
    this.#inbox.deliver(message);
  }

  #send(message) {
    this.#socket.send(JSON.stringify(message));
  }

  #id() {
    return String(this.#nextId++);
  }
}
