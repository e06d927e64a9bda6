// HTTPS in a browser: HTTP leads to it, the page comes by HTTP/2, its socket runs in TLS, and the cookie keeps to HTTPS.
import { join } from 'node:path';
import { demand } from '../lib/scenario.mjs';
import { instanceOf, opens } from './sample.mjs';

export const usage = '--spki HASH [--cookie NAME] [--host NAME]';
export const options = { spki: { type: 'string' }, cookie: { type: 'string', default: '__Host-karman' } };

export async function run({ browser, url, out, options, see }) {
  const context = await browser.newContext();
  const page = await opens(context, url);
  demand(page.url().startsWith('https:'), `${url} stays at ${page.url()}`);

  const [protocol, isSecure] = await page.evaluate(() => [
    performance.getEntriesByType('navigation')[0].nextHopProtocol,
    window.isSecureContext,
  ]);
  demand(protocol === 'h2', `the page came by ${protocol}`);
  demand(isSecure, 'the page is no secure context');
  const cookies = await context.cookies();
  const cookie = cookies.find(({ name }) => name === options.cookie);
  demand(cookie?.secure, `no secure cookie ${options.cookie}, only ${cookies.map(({ name }) => name).join(', ') || 'none'}`);
  see('https', { protocol, cookie: cookie.name, instance: await instanceOf(page) });
  await page.screenshot({ path: join(out, 'https.png') });
}
