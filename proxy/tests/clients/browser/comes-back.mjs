// A visitor waits on the edge's page, and it becomes the app by itself.
//
// The caller starts this while the app is down, and writes the line `up` to our standard input when the app is back.
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { count, demand, Failed } from '../lib/scenario.mjs';
import { within } from '../lib/wait.mjs';

const UP_SECONDS = 120;

export const usage = '[--error app-down] [--app SELECTOR] [--within 60] [--host NAME]';
export const options = {
  error: { type: 'string', default: 'app-down' },
  app: { type: 'string', default: '#list' },
  within: { type: 'string', default: '60' },
};

export async function run({ browser, url, out, options, see }) {
  const seconds = count(options, 'within');
  const page = await browser.newPage();
  let loads = 0;
  page.on('load', () => (loads += 1));

  const answer = await page.goto(url.href);
  const code = answer.headers()['x-karman-error'];
  demand(code === options.error, `x-karman-error ${options.error} wanted, ${code ?? 'none'} found`);
  await page.screenshot({ path: join(out, 'comes-back-before.png') });
  see(options.error);

  await within('line `up` on standard input', line('up'), UP_SECONDS);
  const up = performance.now();
  await within('app in the page that waited for it', page.locator(options.app).waitFor({ timeout: 0 }), seconds);
  see('app', { after_ms: Math.round(performance.now() - up), loads });

  demand(page.url() === url.href, `the address became ${page.url()}`);
  await page.screenshot({ path: join(out, 'comes-back-after.png') });
}

function line(wanted) {
  return new Promise((resolve, reject) => {
    const lines = createInterface({ input: process.stdin });
    lines.on('line', (line) => line === wanted && resolve());
    lines.on('close', () => reject(new Failed(`standard input ended without the line "${wanted}"`)));
  });
}
