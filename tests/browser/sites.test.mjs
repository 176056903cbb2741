// Builds of static site generators, pushed as a person pushes them, and crawled: every page, every link, every file.

import assert from 'node:assert/strict'
import { cp, mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { after, before, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { startBrowser } from './browser.mjs'
import { crawl } from './crawl.mjs'
import { expectedType } from './types.mjs'
import { get, vergeUp } from './verge.mjs'

const projects = path.join(path.dirname(fileURLToPath(import.meta.url)), '../sites')
const options = { timeout: 300_000 }

/**
 * - `project`, `output`: the folder in `tests/sites`, and the build in it.
 * - `site`: the name in `package.json`. `isDefault: false`: another name, for an output that a push does not find unless it is named.
 * - `pages`: all that links lead to.
 * - `isRouted`: links are followed by a router, without loading another document. `isSinglePage`: it shows missing pages too.
 * - `notFound`: the heading of missing pages.
 * - `fingerprinted`: the files with a hash in their names.
 * - `uncertain`, of builds that are kept: those whose hash could be a word or a number for all that the origin knows, so that
 *   browsers revalidate them ("two certainties" in `docs/ARCHITECTURE.md`).
 */
const BUILDS = [
  {
    project: 'react',
    output: 'dist',
    site: 'headland',
    pages: ['/', '/lights', '/lights/black-skerry', '/lights/gull-point', '/lights/long-ness', '/lights/saint-orra', '/night'],
    isRouted: true,
    isSinglePage: true,
    notFound: 'Off the chart',
    fingerprinted: /^assets\//,
  },
  {
    project: 'vitepress',
    output: '.vitepress/dist',
    site: 'keepers-handbook',
    pages: ['/', '/guide/', '/guide/brûleur.html', '/guide/fog/signals.html', '/guide/lamp.html', '/lights/', '/lights/gull-point.html', '/lights/long-ness.html'],
    isRouted: true,
    notFound: 'PAGE NOT FOUND',
    fingerprinted: /^assets\//,
    uncertain: ['assets/app.lrjj7EMN.js', 'assets/index.md.CdhCtr93.js', 'assets/index.md.CdhCtr93.lean.js'],
  },
  {
    project: 'vitepress',
    output: '.vitepress/dist-clean',
    site: 'handbook-clean',
    isDefault: false,
    pages: ['/', '/guide/', '/guide/brûleur', '/guide/fog/signals', '/guide/lamp', '/lights/', '/lights/gull-point', '/lights/long-ness'],
    isRouted: true,
    notFound: 'PAGE NOT FOUND',
    fingerprinted: /^assets\//,
    uncertain: ['assets/app.lrjj7EMN.js'],
  },
  {
    project: 'astro',
    output: 'dist',
    site: 'tide-tables',
    pages: ['/', '/harbours/', '/harbours/gull-point/', '/harbours/long-ness/', '/harbours/île-d-orra/', '/keeper/'],
    isRouted: true,
    notFound: 'No such harbour',
    fingerprinted: /^_astro\//,
    uncertain: ['_astro/ClientRouter.astro_astro_type_script_index_0_lang.Bcn-gyid.js'],
  },
  {
    project: 'next',
    output: 'out',
    site: 'ship-log',
    pages: ['/', '/log/2024/storm', '/ships', '/ships/petrel', '/ships/st-brannoc', '/ships/étoile'],
    isRouted: true,
    notFound: 'Nothing in sight',
    fingerprinted: /^_next\/static\/(chunks|css|media)\//,
    uncertain: [],
  },
  {
    project: 'workbox',
    output: 'dist',
    site: 'pocket-light-list',
    pages: ['/', '/about', '/lights/'],
    isRouted: false,
    notFound: 'Not on the list',
    fingerprinted: /^assets\//,
    uncertain: [],
  },
]
const IMMUTABLE = 'public, max-age=31536000, immutable'
const REVALIDATE = 'public, max-age=0, must-revalidate'
const MISSING = ['/nowhere', '/no/such/page.html']

let browser
before(async () => (browser = await startBrowser()))
after(() => browser?.close())

test('builds of generators', { ...options, concurrency: 2 }, async t => {
  const verge = await vergeUp(t)
  // A crawl mostly waits, so that another one costs little time.
  await Promise.all(BUILDS.map(build => t.test(build.site, t => checkBuild(t, verge, build))))
})

async function checkBuild(t, verge, { project, output, site, isDefault = true, pages, isRouted, isSinglePage = false, notFound, fingerprinted, uncertain }) {
  const folder = path.join(projects, project, output)
  const [edge, other] = verge.edges

  await t.test(`check and push ${isDefault ? 'find' : 'take'} ${output} and warn of nothing`, async t => {
    if (!isDefault) return verge.push(folder, site)
    const copy = await withoutPackages(t, path.join(projects, project))
    const checked = await verge.check(copy)
    assert.equal(checked.stdout, 'nothing is wrong\n', checked.stderr)
    const { stdout, stderr } = await verge.pushProject(copy)
    assert.ok(stderr.startsWith(`pushing ${output} to ${site} (detected: `), stderr)
    assert.doesNotMatch(stderr, /warning:|hint:/)
    assert.match(stdout, new RegExp(`^${site} v1 is live$`, 'm'))
  })

  await t.test('each file has its bytes, type and lifetime', async () => {
    const revalidated = []
    for (const file of await filesOf(folder)) {
      const { status, headers, bytes } = await get(verge.url(other, encodeURI(`/${file}`), site), other)
      assert.deepEqual([file, status, headers['content-type']], [file, 200, expectedType(file)])
      assert.ok(bytes.equals(await readFile(path.join(folder, file))), file)
      if (headers['cache-control'] === REVALIDATE && fingerprinted.test(file)) revalidated.push(file)
      else assert.deepEqual([file, headers['cache-control']], [file, fingerprinted.test(file) ? IMMUTABLE : REVALIDATE])
    }
    if (uncertain) assert.deepEqual(revalidated.sort(), uncertain)
  })

  await t.test('each page is the same when opened, loaded again and reached by a link', async () => {
    const report = await crawl(browser, verge.url(edge, '/', site), { missing: MISSING })
    assert.deepEqual(report.problems, [])
    assert.deepEqual(report.pages, pages)
    assert.deepEqual(report.redirects, [], 'links lead to the addresses of pages, not to redirects')
    assert.deepEqual(report.routed, isRouted ? pages : [])
    const missing = { status: isSinglePage ? 200 : 404, title: notFound }
    assert.deepEqual(report.missing, Object.fromEntries(MISSING.map(path => [path, missing])))
  })
}

/** A copy of a project as its author has it after a build, but for the packages. */
async function withoutPackages(t, project) {
  const copy = await mkdtemp(path.join(tmpdir(), 'verge-project-'))
  t.after(() => rm(copy, { recursive: true }))
  await cp(project, copy, { recursive: true, filter: source => path.basename(source) !== 'node_modules' })
  return copy
}

/** The paths of the files in `folder`. */
async function filesOf(folder) {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true })
  return entries.filter(entry => entry.isFile()).map(entry => path.relative(folder, path.join(entry.parentPath, entry.name)))
}
