// Speaks to sockjs-backend.mjs, which sends back what it gets and tells its name when asked for its `instance`.
import { Inbox } from './wait.mjs';

const ANSWER = 'instance ';

export class Echo {
  #socket;
  #inbox = new Inbox();

  static async over(socket) {
    return new Echo(socket);
  }

  constructor(socket) {
    this.#socket = socket;
    socket.onText = (text) => this.#inbox.deliver(text);
    socket.onEnd = (why) => this.#inbox.end(why);
  }

  async instance() {
    const answer = this.#inbox.next('name of the instance', (text) => text.startsWith(ANSWER));
    this.#socket.send('instance');
    return (await answer).slice(ANSWER.length);
  }

  echo(text) {
    const answer = this.#inbox.next('echo', (got) => got === text);
    this.#socket.send(text);
    return answer;
  }
}
