// The text of `netlify.toml`, in the ways in which people write TOML.

/** A string in one of the notations that can hold it. */
function string(draw, text) {
  const basic = `"${text.replace(/[\\"]/g, '\\$&')}"`;
  return text.includes("'") ? basic : draw.of([basic, basic, `'${text}'`, `"""${basic.slice(1, -1)}"""`]);
}

function key(draw, name) {
  return /^[\w-]+$/.test(name) && draw.is(0.8) ? name : `"${name}"`;
}

/** A table in one line. */
function inline(draw, pairs) {
  return `{${pairs.map(([name, value]) => `${key(draw, name)} = ${string(draw, value)}`).join(', ')}}`;
}

/** The key `name` of the table `parent`, itself a table: lines of the table, and lines below it. */
function subtable(draw, parent, name, pairs) {
  const lines = pairs.map(([name, value]) => `${key(draw, name)} = ${string(draw, value)}`);
  return draw.of([
    () => [[`${name} = ${inline(draw, pairs)}`], []],
    () => [lines.map((line) => `${name}.${line}`), []],
    () => [[], [`[${parent}.${name}]`, ...lines.map((line) => `  ${line}`)]],
  ])();
}

/** `[[redirects]]` of a rule, `{from, query, to, status, force}`. */
function redirectTable(draw, { from, query, to, status, force }) {
  const lines = [`${draw.is(0.9) ? 'from' : 'origin'} = ${string(draw, from)}`];
  let below = [];
  if (to !== undefined) lines.push(`${draw.is(0.9) ? 'to' : 'destination'} = ${string(draw, to)}`);
  if (status !== undefined) lines.push(`status = ${draw.is(0.8) ? status : `"${status}"`}`);
  if (force || draw.is(0.1)) lines.push(`force = ${force}`);
  if (draw.is(0.05)) lines.push('conditions = {}');
  if (draw.is(0.05)) lines.push('headers = {X-From = "Netlify"}');
  if (query.length > 0) {
    const [inside, after] = subtable(draw, 'redirects', draw.of(['query', 'query', 'params', 'parameters']), query);
    lines.push(...inside);
    below = after;
  }
  return ['[[redirects]]', ...lines.map((line) => `  ${line}`), ...below];
}

/** A value of a header: one text, several, or one on several lines. */
function headerValue(draw, value) {
  if (draw.is(0.7)) return string(draw, value);
  const parts = value.split(', ');
  return draw.is(0.5) ? `[${parts.map((part) => string(draw, part)).join(', ')}]` : `'''\n    ${parts.join(',\n    ')}'''`;
}

/** `[[headers]]` of a block, `{path, headers}`. */
function headersTable(draw, { path, headers }) {
  const lines = headers.map(([name, value]) => `${key(draw, name)} = ${headerValue(draw, value)}`);
  return ['[[headers]]', `  for = ${string(draw, path)}`, '  [headers.values]', ...lines.map((line) => `    ${line}`)];
}

const others = [
  ['[build]', '  publish = "dist"', '  command = "yarn build" # on Netlify'],
  ['[build.environment]', '  NODE_VERSION = "24"'],
  ['[context.deploy-preview]', '  command = "yarn preview"'],
  ['[[plugins]]', '  package = "@netlify/plugin-nextjs"'],
  ['[dev]', '  port = 8080'],
  ['# Redirects and headers', ''],
];

/** The text of a file with these tables, each kind in its order. */
export function netlifyToml(draw, redirects, headers) {
  const tables = [
    ...redirects.map((rule) => redirectTable(draw, rule)),
    ...headers.map((block) => headersTable(draw, block)),
  ];
  // A table of another kind may come between them.
  for (const other of others.filter(() => draw.is(0.15))) tables.splice(draw.count(0, tables.length), 0, other);
  const isInline = draw.is(0.1) && redirects.length > 0;
  const text = isInline ? inlineRedirects(draw, redirects, headers) : tables.map((table) => [...table, '']).flat();
  return text.join(draw.of(['\n', '\n', '\r\n']));
}

/** All redirects in one array. */
function inlineRedirects(draw, redirects, headers) {
  const table = ({ from, query, to, status, force }) => {
    const parts = [`from = ${string(draw, from)}`];
    if (to !== undefined) parts.push(`to = ${string(draw, to)}`);
    if (status !== undefined) parts.push(`status = ${status}`, `force = ${force}`);
    if (query.length > 0) parts.push(`query = ${inline(draw, query)}`);
    return `  {${parts.join(', ')}},`;
  };
  return ['redirects = [', ...redirects.map(table), ']', ...headers.flatMap((block) => headersTable(draw, block))];
}
