// What a program does with SparkPost's own library for Node.js, which nothing here has changed.
// usage: node client.js LIBRARY ORIGIN KEY; prints one line of JSON
'use strict';

const [library, origin, key] = process.argv.slice(2);
const SparkPost = require(library);
const client = new SparkPost(key, { origin });
const time = { from: '2023-11-13T00:00', to: '2023-11-20T00:00' };

const readAll = async () => {
  const found = [];
  let cursor = 'initial';
  while (cursor) {
    const page = await client.events.searchMessage({ ...time, per_page: 100, cursor });
    found.push(...page.results.map((event) => event.event_id));
    const next = page.links.find((link) => link.rel === 'next');
    cursor = next && new URL(next.href, origin).searchParams.get('cursor');
  }
  return found;
};

const main = async () => {
  const clicks = await client.events.searchMessage({ ...time, events: ['click', 'amp_click'] });
  const earlier = await client.messageEvents.search({ ...time, events: 'open', page: 1 });
  const metrics = await client.get({
    uri: 'metrics/deliverability/campaign',
    qs: { ...time, metrics: 'count_clicked,count_unique_confirmed_opened' },
  });
  let refusal = null;
  try {
    await client.events.searchMessage({ templates: 'none' });
  } catch (error) {
    refusal = [error.name, error.statusCode, error.errors];
  }
  console.log(JSON.stringify({
    all: await readAll(),
    clicks: clicks.results.length,
    opens: earlier.results.length,
    metrics: metrics.results,
    refusal,
  }));
};

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
