// simpleddp, a DDP client from npm: what one user changes reaches another user by itself.
import { randomUUID } from 'node:crypto';
import simpleDDP from 'simpleddp';
import WebSocket from 'ws';
import { demand, scenario } from './lib/scenario.mjs';
import { webSocketUrl } from './lib/sockets.mjs';
import { within } from './lib/wait.mjs';

const usage = 'URL [--host NAME]';

await scenario({ usage }, async ({ url, see }) => {
  const [reader, writer] = await Promise.all([join(url, 'reader'), join(url, 'writer')]);
  see('connected', { reader: await instance(reader), writer: await instance(writer) });

  const text = `todo ${randomUUID()}`;
  const isOurs = (todo) => todo?.text === text;
  const change = async (method, param, name, arrived) => {
    const arrival = arrives(reader, arrived);
    const result = await within(`result of ${method}`, writer.call(method, param));
    await within(`"${name}" at the reader`, arrival);
    see(name);
    return result;
  };
  const id = await change('todos.insert', text, 'added', ({ added }) => isOurs(added));
  await change('todos.toggle', id, 'changed', ({ changed }) => isOurs(changed?.next) && changed.next.done);
  await change('todos.remove', id, 'removed', ({ removed }) => isOurs(removed));
});

async function join(url, who) {
  const user = new simpleDDP({ endpoint: webSocketUrl(url), SocketConstructor: WebSocket, autoReconnect: false });
  await within(`connection of the ${who}`, user.connect());
  await within(`"ready" of the ${who}'s todos`, user.subscribe('todos').ready());
  return user;
}

async function instance(user) {
  const { instance: name } = await within('result of instance', user.call('instance'));
  demand(name, 'the instance has no name');
  return name;
}

function arrives(reader, isIt) {
  return new Promise((resolve) => {
    const listener = reader.collection('todos').onChange((change) => {
      if (!isIt(change)) return;
      listener.stop();
      resolve();
    });
  });
}
