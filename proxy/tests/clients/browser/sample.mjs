// The sample app's page, as far as scenarios need to know it.
import { demand } from '../lib/scenario.mjs';
import { within } from '../lib/wait.mjs';

// Opens the app in a new tab and waits until its socket has told which instance serves the tab.
export async function opens(context, url) {
  const page = await context.newPage();
  const answer = await page.goto(url.href);
  demand(
    answer.status() === 200,
    `${url} was answered with ${answer.status()} ${answer.headers()['x-karman-error'] ?? ''}`,
  );
  await instanceOf(page);
  return page;
}

// Before the socket is up the page shows a placeholder without letters, and after it the instance first.
export async function instanceOf(page) {
  const element = page.locator('#instance', { hasText: /[a-z]/ });
  await within('name of the instance in the page', element.waitFor());
  return /^[a-z0-9-]+/.exec((await element.innerText()).trim())?.[0];
}
