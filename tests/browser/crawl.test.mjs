// The crawler itself: what it reports of a site that is wrong, served by a server of a few lines.

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:http'
import { after, before, test } from 'node:test'
import { startBrowser } from './browser.mjs'
import { crawl } from './crawl.mjs'

const options = { timeout: 120_000 }

let browser
before(async () => (browser = await startBrowser()))
after(() => browser?.close())

const HTML = 'text/html; charset=utf-8'
const SOUND = { '/': page('Home', '<a href="/harbour#quay">harbour</a>'), '/harbour': page('Harbour', '<p id="quay">Quay</p>') }

test('crawler_reports_no_problem_of_a_sound_site', options, async t => {
  const { problems, ...report } = await crawl(browser, await serve(t, {}), { missing: ['/gone'] })
  assert.deepEqual(problems, [])
  assert.deepEqual(report, {
    pages: ['/', '/harbour'],
    files: [],
    redirects: [],
    routed: [],
    missing: { '/gone': { status: 404, title: 'Gone' } },
  })
})

for (const [fault, files, expected] of [
  ['dead_links', { '/': page('Home', '<a href="/harbor">harbour</a>') }, /^404: \/harbor \(named by \/\)$/],
  ['missing_scripts', { '/': page('Home', '<script src="/old.js"></script>') }, /^404: \/old.js \(named by \/\)$/],
  ['missing_pictures_of_style_sheets', { '/': page('Home', '<link rel="stylesheet" href="/a.css">'), '/a.css': ['text/css; charset=utf-8', '@media print { p { background: url("sea.png") } }'] }, /^404: \/sea.png \(named by \/a.css\)$/],
  ['wrong_types', { '/': page('Home', '<link rel="stylesheet" href="/a.css">'), '/a.css': ['text/plain', ''] }, /^type of \/a.css: text\/plain, expected text\/css/],
  ['pages_in_place_of_files', { '/': page('Home', '<a href="/list.json">list</a>'), '/list.json': [HTML, page('Home', '')] }, /^type of \/list.json: text\/html/],
  ['errors_in_the_console', { '/': page('Home', '<script>console.error("no oil")</script>') }, /^error: no oil /],
  ['exceptions', { '/': page('Home', '<script>throw new Error("no oil")</script>') }, /^exception: Error: no oil/],
  ['anchors_without_a_part', { '/': page('Home', '<a href="/harbour#key">quay</a>') }, /^no part #key in \/harbour \(named by \/\)$/],
  ['pages_that_differ_when_loaded_again', { '/': page('Home', '<script>document.write(sessionStorage.n = 1 + Number(sessionStorage.n ?? 0))</script>') }, /^\/ loaded again: the text is "Home\\n2", expected/],
  ['routes_that_show_another_page', { '/': page('Home', `<a href="/harbour" onclick="event.preventDefault(); history.pushState(null, '', '/harbour')">harbour</a>`) }, /^\/harbour by a link of \/: the title is "Home", expected "Harbour"$/],
  ['addresses_that_change', { '/': page('Home', '<script>history.replaceState(null, "", "/home")</script>') }, /^\/ opened: the path is "\/home", expected "\/"$/],
]) {
  test(`crawler_reports_${fault}`, options, async t => {
    const { problems } = await crawl(browser, await serve(t, files), { patience: 500 })
    assert.ok(problems.some(problem => expected.test(problem)), problems.join('\n'))
  })
}

test('crawler_reports_redirects_and_other_statuses_of_the_404_page', options, async t => {
  const { redirects, missing, problems } = await crawl(browser, await serve(t, { '/': page('Home', '<a href="/port">port</a>'), '/port': null, '/gone': page('Home', '') }), { missing: ['/gone'] })
  assert.deepEqual([redirects, missing, problems], [['/port'], { '/gone': { status: 200, title: 'Home' } }, []])
})

/** Serves `files` beside those of a sound site: pages, files with their types, and (null) redirects to a page. */
async function serve(t, files) {
  const all = { ...SOUND, ...files }
  const server = createServer((request, response) => {
    const file = all[new URL(request.url, 'http://localhost').pathname]
    if (file === null) return response.writeHead(308, { location: '/harbour' }).end()
    const [type, body] = Array.isArray(file) ? file : [HTML, file ?? page('Gone', '')]
    response.writeHead(file === undefined ? 404 : 200, { 'content-type': type }).end(body)
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => server.close().closeAllConnections())
  return `http://127.0.0.1:${server.address().port}/`
}

function page(title, body) {
  return `<!doctype html><html lang="en"><title>${title}</title><link rel="icon" href="data:,"><h1>${title}</h1>${body}</html>`
}
