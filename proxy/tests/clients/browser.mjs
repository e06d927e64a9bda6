// Chromium against a running edge: one scenario of the folder `browser` at a time.
import { withChromium } from './browser/chromium.mjs';
import * as comesBack from './browser/comes-back.mjs';
import * as cookie from './browser/cookie.mjs';
import * as https from './browser/https.mjs';
import * as page from './browser/page.mjs';
import * as twoTabs from './browser/two-tabs.mjs';
import { Misused, scenario } from './lib/scenario.mjs';

const scenarios = { 'two-tabs': twoTabs, page, 'comes-back': comesBack, cookie, https };
const name = process.argv[2];
const chosen = scenarios[name];
const usage = chosen ? `${name} URL OUT ${chosen.usage}` : `${Object.keys(scenarios).join('|')} URL OUT [options]`;

await scenario({ usage, options: chosen?.options, positionals: ['SCENARIO', 'URL', 'OUT'] }, async (given) => {
  if (!chosen) throw new Misused(`there is no scenario ${name}`);
  await withChromium({ out: given.out, name, spki: given.options.spki }, (browser) => chosen.run({ ...given, browser }));
});
