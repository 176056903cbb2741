// Random rule files and requests for them, from few words, so that many rules match.

const literals = ['a', 'b', 'c', 'long-name', 'x.html', 'v1.2'];
const placeholders = [':one', ':two', ':id'];

function redirectPath(draw) {
  const segment = () =>
    draw.is(0.6) ? draw.of(literals) : draw.is(0.6) ? draw.of(placeholders) : draw.is(0.5) ? '*' : draw.of(['x-:one', 'a*', ':', '*.html']);
  const segments = draw.many(draw.count(0, 4), segment);
  // Several wildcards capture other texts, or are an error here (docs/FORMATS.md).
  const isWildcard = (part) => part === '*' || part === 'a*';
  let wildcards = 0;
  const kept = segments.filter((part) => !isWildcard(part) || (wildcards += 1) === 1);
  const end = draw.is(0.3) && wildcards === 0 ? ['*'] : [];
  return '/' + [...kept, ...end].join('/') + (draw.is(0.15) && kept.length + end.length > 0 ? '/' : '');
}

function target(draw) {
  const path = '/' + draw.many(draw.count(0, 3), () => draw.of([...literals, ...placeholders, ':splat', 'p:one'])).join('/');
  const host = draw.is(0.2) ? draw.of(['https://other.example', 'http://other.example:8080']) : '';
  const query = draw.is(0.2) ? draw.of(['?q=:id', '?q=1', '?s=:splat&t=2']) : '';
  const fragment = draw.is(0.15) ? draw.of(['#part', '#:splat', '#/x/:id', '#s-:one']) : '';
  return host + path + query + fragment;
}

/** A redirect rule, as `{from, query, to, status, force}`. */
function redirectRule(draw) {
  const from = redirectPath(draw);
  const site = draw.is(0.15) ? draw.of(['https://www.site.example', 'http://www.site.example', 'https://other.example']) : '';
  const query = draw.is(0.2) ? draw.of([[['id', ':id']], [['q', '1']], [['q', '1'], ['id', ':id']], [['id', '2']]]) : [];
  // Netlify compares the text of a path with that of the target below a wildcard, so that redirects do not repeat themselves: here it is
  // told by patterns (docs/FORMATS.md).
  const plain = target(draw);
  const to = from.includes('*') ? plain.replace(/^(https?:\/\/[^/]*)?/, '$&/target') : plain;
  const isRemote = to.startsWith('http');
  const statuses = isRemote ? ['301', '302', '307'] : ['200', '301', '302', '303', '307', '308', '404', '410'];
  const status = draw.is(0.3) ? undefined : draw.of(statuses);
  const force = status !== undefined && draw.is(0.2);
  // The target of such a rule may be left out.
  const isLeftOut = site === '' && from.endsWith('/*') && query.length === 0 && status === '200' && draw.is(0.5);
  return { from: site + from, query, to: isLeftOut ? undefined : to, status, force };
}

/** Redirect rules, each once: of two same ones Netlify takes the last (docs/FORMATS.md). */
export function redirectRules(draw) {
  const rules = draw.many(draw.count(1, 8), () => redirectRule(draw));
  const text = ({ status = '301', ...rule }) => JSON.stringify({ ...rule, status });
  return rules.filter((rule, index) => rules.findIndex((other) => text(other) === text(rule)) === index);
}

/** The text of `_redirects` with these rules. */
export function redirectsFile(draw, rules) {
  const separator = () => draw.of([' ', '  ', '\t']);
  const line = ({ from, query, to, status, force }) => {
    const pairs = query.map((pair) => pair.join('='));
    const comment = draw.is(0.1) ? '# for now' : '';
    const words = [from, ...pairs, to ?? '', (status ?? '') + (force ? '!' : ''), comment];
    return words.filter((word) => word !== '').join(separator());
  };
  const between = () => (draw.is(0.1) ? [draw.of(['', '# comment', '   '])] : []);
  const start = draw.is(0.05) ? '\ufeff' : '';
  return start + rules.flatMap((rule) => [...between(), line(rule)]).join(draw.of(['\n', '\r\n']));
}

/** `[scheme, host, path, query]`. */
export function request(draw) {
  const segments = draw.many(draw.count(0, 4), () => draw.of([...literals, 'other', 'x%20y', 'ab', 'A']));
  const path = '/' + segments.join('/') + (draw.is(0.2) && segments.length > 0 ? '/' : '');
  const query = draw.is(0.4) ? draw.of(['id=1', 'id=2&q=1', 'q=1', 'id=', 'id', 'id=a%2Fb&z', 'q=2&q=1', 'id=x+y']) : '';
  return [draw.of(['https', 'http']), draw.of(['www.site.example', 'other.example']), path, query];
}

/** A request for header rules: no segment begins with another, since `/a/*` matches `/ab` at Netlify (docs/FORMATS.md). */
export function headerRequest(draw) {
  const segments = draw.many(draw.count(0, 4), () => draw.of([...literals, 'other', 'A', 'zb', 'one-name']));
  return ['https', 'www.site.example', '/' + segments.join('/') + (draw.is(0.2) && segments.length > 0 ? '/' : ''), ''];
}

function headersPath(draw) {
  const segment = () =>
    draw.is(0.6) ? draw.of([...literals, 'A']) : draw.of(['*', ':one', '*', 'a*', '*b', '*-name', 'l*e', 'x-:one']);
  const segments = draw.many(draw.count(0, 3), segment);
  return '/' + segments.join('/') + (draw.is(0.15) && segments.length > 0 ? '/' : '');
}

/** Blocks of header rules, as `{path, headers}`. */
export function headerBlocks(draw) {
  const name = () => draw.of(['X-A', 'x-b', 'Link', 'Cache-Control']);
  const value = () => draw.of(['1', 'two  words', 'a:b', '</a.css>; rel="preload"', "it's", 'public, max-age=60']);
  const header = () => [name(), value()];
  return draw.many(draw.count(1, 5), () => ({ path: headersPath(draw), headers: draw.many(draw.count(0, 3), header) }));
}

/** The text of `_headers` with these blocks. */
export function headersFile(draw, blocks) {
  const line = ([name, value]) => `${draw.of(['  ', '\t', ''])}${name}${draw.of([': ', ':', ' : '])}${value}`;
  const comment = () => (draw.is(0.1) ? ['# comment', ''] : []);
  const lines = blocks.flatMap(({ path, headers }) => [path, ...headers.map(line), ...comment()]);
  return lines.join(draw.of(['\n', '\r\n']));
}

/** The same blocks as tables: in a table, a name is a key, and each key is there once. */
export function headerTables(draw, blocks) {
  const path = (text) => (draw.is(0.1) ? text.slice(1) : text);
  return blocks.map((block) => {
    const headers = block.headers.filter(([name], index, all) => all.findIndex((other) => other[0] === name) === index);
    return { path: block.path === '/' ? '/' : path(block.path), headers };
  });
}
