// sockjs-client in a browser, which carries cookies by itself: one instance serves all of a visitor's sessions.
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { choice, count, demand } from '../lib/scenario.mjs';
import { speakers } from '../lib/speakers.mjs';
import { PageSockets } from './page-sockets.mjs';
import { instanceOf, opens } from './sample.mjs';

const require = createRequire(import.meta.url);

export const usage = '[--cookie NAME] [--speak ddp|echo] [--sessions 8] [--host NAME]';
export const options = {
  cookie: { type: 'string' },
  speak: { type: 'string', default: 'ddp' },
  sessions: { type: 'string', default: '8' },
};

export async function run({ browser, url, out, options, see }) {
  const Speaker = speakers[choice(options, 'speak', Object.keys(speakers))];
  const sessions = count(options, 'sessions', 2);
  // The app's own policy for scripts is not what is tested here.
  const context = await browser.newContext({ bypassCSP: true });
  const page = await opens(context, url);
  const home = await instanceOf(page);

  const cookies = await context.cookies();
  see('cookies', { names: cookies.map(({ name }) => name) });
  if (options.cookie) isGuarded(cookies, options.cookie);

  await page.addScriptTag({ path: require.resolve('sockjs-client/dist/sockjs.min.js') });
  const sockets = await PageSockets.of(page);
  for (const transport of ['websocket', 'xhr-polling']) {
    const instances = new Set([home]);
    for (let n = 0; n < sessions; n++) {
      const socket = await sockets.open(transport);
      const session = await Speaker.over(socket);
      instances.add(await session.instance());
      await session.echo('one more message, so that polling polls again');
      instances.add(await session.instance());
      socket.close();
    }
    demand(instances.size === 1, `one visitor's ${transport} sessions went to ${[...instances].join(', ')}`);
    see('sessions', { transport, count: sessions, instances: [...instances] });
  }
  await page.screenshot({ path: join(out, 'cookie.png') });
}

function isGuarded(cookies, name) {
  const cookie = cookies.find((cookie) => cookie.name === name);
  demand(cookie, `no cookie ${name}, only ${cookies.map(({ name }) => name).join(', ') || 'none'}`);
  demand(cookie.httpOnly, `the cookie ${name} can be read by scripts`);
  demand(cookie.sameSite === 'Lax', `the cookie ${name} has SameSite=${cookie.sameSite}`);
}
