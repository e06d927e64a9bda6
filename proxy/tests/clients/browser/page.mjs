// One page as an answer and as something to look at: wide and narrow, light and dark, with and without script.
import { join } from 'node:path';
import { count, demand, Misused } from '../lib/scenario.mjs';
import { within } from '../lib/wait.mjs';
import { troublesOf } from './troubles.mjs';

const WIDTHS = [1200, 320];
const SCHEMES = ['light', 'dark'];

export const usage = '--status N --headline TEXT [--error CODE] [--name NAME] [--one-look] [--host NAME]';
export const options = {
  status: { type: 'string' },
  headline: { type: 'string' },
  error: { type: 'string' },
  name: { type: 'string', default: 'page' },
  'one-look': { type: 'boolean', default: false },
};

export async function run({ browser, url, out, options, see }) {
  const { headline, error, name } = options;
  const status = count(options, 'status', 100);
  if (!headline) throw new Misused('--headline wanted: a page that says nothing would do otherwise');
  const expected = { status, error, headline };

  const backgrounds = {};
  for (const width of WIDTHS) {
    for (const scheme of SCHEMES) {
      const context = await browser.newContext({ viewport: { width, height: 800 }, colorScheme: scheme });
      const { page, troubles } = await openAsExpected(context, url, expected);
      await fits(page, width);
      backgrounds[scheme] = await corner(page);
      await page.screenshot({ path: join(out, `${name}-${width}-${scheme}.png`), fullPage: true });
      demand(troubles.length === 0, `${width} px, ${scheme}: ${troubles.join('; ')}`);
      await context.close();
      see('page', { width, scheme, status, error, headline });
    }
  }
  const looksAlike = backgrounds.light.equals(backgrounds.dark);
  demand(options['one-look'] || !looksAlike, 'the page is as light in the dark as by day');

  // The app's own page may need script; an answer of the edge may not.
  if (error) {
    await openAsExpected(await browser.newContext({ javaScriptEnabled: false }), url, expected);
    see('page-without-script', { status, error, headline });
  }
}

async function openAsExpected(context, url, { status, error, headline }) {
  const page = await context.newPage();
  const troubles = troublesOf(page, url, status);
  const answer = await page.goto(url.href);
  demand(answer.status() === status, `status ${status} wanted, ${answer.status()} found`);
  const code = answer.headers()['x-karman-error'];
  demand(code === error, `x-karman-error ${error ?? 'absent'} wanted, ${code ?? 'none'} found`);
  const heading = page.getByRole('heading', { level: 1 });
  await within('headline', heading.waitFor());
  const shown = (await heading.innerText()).trim();
  demand(shown === headline, `headline "${headline}" wanted, "${shown}" found`);
  return { page, troubles };
}

async function fits(page, width) {
  const wide = await page.evaluate(() => document.documentElement.scrollWidth);
  demand(wide <= width, `the page is ${wide} px wide in a window of ${width} px`);
}

// One pixel in a corner is enough to tell day from night, and does not change with the time of day shown in the text.
function corner(page) {
  return page.screenshot({ clip: { x: 0, y: 0, width: 1, height: 1 } });
}
