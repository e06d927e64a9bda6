// The sample app in two tabs: what is added or taken away in one is so in the other, in both directions.
import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { choice, demand } from '../lib/scenario.mjs';
import { within } from '../lib/wait.mjs';
import { instanceOf, opens } from './sample.mjs';

export const usage = '[--host NAME] [--visitors 1|2]';
export const options = { visitors: { type: 'string', default: '1' } };

export async function run({ browser, url, out, options, see }) {
  const sameVisitor = choice(options, 'visitors', ['1', '2']) === '1';
  const visitor = await browser.newContext();
  const other = sameVisitor ? visitor : await browser.newContext();
  const [first, second] = [await opens(visitor, url), await opens(other, url)];

  const instances = [await instanceOf(first), await instanceOf(second)];
  see('tabs', { instances });
  if (sameVisitor) demand(instances[0] === instances[1], `one visitor's tabs are served by ${instances.join(' and ')}`);

  await change({ from: first, to: second, out });
  see('change', { from: 1, to: 2 });
  await change({ from: second, to: first, out });
  see('change', { from: 2, to: 1 });
}

// A todo added in one tab arrives in the other; taken away there, it goes from the first.
async function change({ from, to, out }) {
  const text = `todo ${randomUUID()}`;
  const todo = { hasText: text };
  await from.fill('#new', text);
  await from.click('#add');
  await within('new todo in the other tab', to.locator('#list li', todo).waitFor());
  await to.screenshot({ path: join(out, 'two-tabs.png') });

  await from.locator('#list li', todo).waitFor();
  await to.locator('#list li', todo).getByRole('button').click();
  await within(
    'end of the todo in the tab that added it',
    from.locator('#list li', todo).waitFor({ state: 'detached' }),
  );
}
