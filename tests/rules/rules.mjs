// Compares the rules of Verge with Netlify's published parsers and engine, on random rule files and requests: `_redirects`, `_headers` and
// `netlify.toml`, each with or without the others.
//
// usage: node rules.mjs EXAMPLE [--files N] [--seed N]
// EXAMPLE is the example `rules` of the crate `verge`.

import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { isDeepStrictEqual, parseArgs } from 'node:util';
import { leadsToItself, normalized, normalizedValues } from './differences.mjs';
import * as generate from './generate.mjs';
import * as netlify from './netlify.mjs';
import { Draw } from './random.mjs';
import { netlifyToml } from './toml.mjs';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { files: { type: 'string', default: '2500' }, seed: { type: 'string', default: '1' } },
});
const REQUESTS = 8;
const SHOWN = 10;

const verge = spawn(positionals[0], { stdio: ['pipe', 'pipe', 'inherit'] });
const answers = createInterface({ input: verge.stdout })[Symbol.asyncIterator]();

/** What Verge answers to a case. */
async function ask(texts, requests) {
  verge.stdin.write(`${JSON.stringify({ ...texts, requests })}\n`);
  return JSON.parse((await answers.next()).value);
}

/** The texts of the files of a case. Some rules are in `netlify.toml`, the others in the file of their kind. */
function filesOf(draw) {
  const [rules, blocks] = [generate.redirectRules(draw), generate.headerBlocks(draw)];
  const cut = (list) => (draw.is(0.4) ? list.length : draw.count(0, list.length));
  const [rulesBefore, blocksBefore] = [cut(rules), cut(blocks)];
  const texts = {};
  if (rulesBefore > 0) texts.redirects = generate.redirectsFile(draw, rules.slice(0, rulesBefore));
  if (blocksBefore > 0) texts.headers = generate.headersFile(draw, blocks.slice(0, blocksBefore));
  const [after, blocksAfter] = [rules.slice(rulesBefore), generate.headerTables(draw, blocks.slice(blocksBefore))];
  if (after.length + blocksAfter.length > 0) texts.toml = netlifyToml(draw, after, blocksAfter);
  return texts;
}

const counts = { files: 0, requests: 0, matched: 0, differences: 0 };

function compare(kind, texts, request, ours, theirs) {
  counts.requests += 1;
  if (theirs !== null && !isDeepStrictEqual(theirs, {})) counts.matched += 1;
  if (isDeepStrictEqual(ours, theirs)) return;
  counts.differences += 1;
  if (counts.differences <= SHOWN) {
    console.log(`${kind} differs for ${JSON.stringify(request)}`);
    for (const [file, text] of Object.entries(texts)) console.log(`  ${file}:\n${text.replace(/^/gm, '    ')}`);
    console.log(`  verge:   ${JSON.stringify(ours)}\n  netlify: ${JSON.stringify(theirs)}`);
  }
}

await netlify.withFolder(async (folder) => {
  for (let file = 0; file < Number(values.files); file += 1) {
    const draw = new Draw(Number(values.seed) * 1_000_003 + file);
    const texts = filesOf(draw);
    const requests = draw.many(REQUESTS, () => generate.request(draw));
    const headerRequests = draw.many(REQUESTS, () => generate.headerRequest(draw));
    const ours = await ask(texts, [...requests, ...headerRequests]);
    const theirRedirects = await netlify.redirects(folder, texts, requests);
    const theirHeaders = await netlify.headers(folder, texts, headerRequests);
    counts.files += Object.keys(texts).length;
    for (const message of [...ours.invalid, ...theirRedirects.errors, ...theirHeaders.errors]) {
      compare('validity', texts, null, String(message), 'valid');
    }
    requests.forEach((request, index) => {
      const location = (found) => found && [found[0], normalized(found[1]), found[2]];
      const theirs = theirRedirects.found[index];
      if (!(theirs && leadsToItself(theirs, request))) {
        compare('redirect', texts, request, location(ours.redirects[index]), location(theirs));
      }
    });
    headerRequests.forEach((request, index) => {
      const our = normalizedValues(ours.headers[REQUESTS + index]);
      compare('header', texts, request, our, normalizedValues(theirHeaders.found[index]));
    });
  }
});
verge.stdin.end();
console.log(`${counts.files} files, ${counts.requests} requests, ${counts.matched} with a rule: ${counts.differences} differences`);
process.exitCode = counts.differences === 0 && counts.matched > counts.requests / 10 ? 0 : 1;
