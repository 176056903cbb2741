// A React build, served by three edges, in a browser: before and after a second release and a rollback.

import assert from 'node:assert/strict'
import { access, cp, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { after, before, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { startBrowser, withReader } from './browser.mjs'
import { get, vergeUp } from './verge.mjs'

const sites = path.join(path.dirname(fileURLToPath(import.meta.url)), '../sites')
const FIRST = path.resolve(process.env.REACT_FIRST ?? path.join(sites, 'react/dist'))
const SECOND = path.resolve(process.env.REACT_SECOND ?? path.join(sites, 'react/dist-second'))

/** How often the four lights, with periods of 4, 6, 10 and 15 seconds, flash together: once a minute for twelve hours. */
const COMMON_FLASHES = '720'

const options = { timeout: 300_000 }

// The tests share a browser, but each reader has its own cache and each test its own `verge up`.
let browser
before(async () => {
  for (const folder of [FIRST, SECOND]) {
    await access(path.join(folder, 'index.html')).catch(() => {
      throw new Error(`${folder} contains no build: run \`yarn build\` and \`yarn build:second\` in tests/sites/react`)
    })
  }
  browser = await startBrowser()
})
after(() => browser?.close())

test('one release on three edges', options, async t => {
  const verge = await vergeUp(t, FIRST)
  assert.equal(verge.edges.length, 3)

  for (const edge of verge.edges) {
    await t.test(`page on ${edge.name} loads its scripts, image, font and worker`, () =>
      withReader(browser, async reader => {
        const tab = await reader.open(verge.url(edge))
        assert.deepEqual(tab.response, { status: 200, release: 'v1', edge: edge.name })
        await tab.expectText('edition', 'first edition')
        await tab.expectImage('picture')
        await tab.expectFont('Young Serif')
        await tab.screenshot(`first-${edge.name}`)
        await tab.clickLink('One night')
        await tab.expectText('answer', COMMON_FLASHES)
        await tab.expectText('worker-edition', 'first edition')
      }))
  }

  await t.test('client-side route renders after a reload and when opened by its URL', () =>
    withReader(browser, async reader => {
      const [edge] = verge.edges
      const tab = await reader.open(verge.url(edge))
      await tab.clickLink('The lights')
      await tab.clickLink('Long Ness')
      await tab.reload()
      await tab.expectTitle('Long Ness')
      await tab.expectText('edition', 'first edition')

      const shared = await reader.open(verge.url(edge, '/lights/long-ness'))
      assert.equal(shared.response.status, 200)
      await shared.expectTitle('Long Ness')
    }))

  await t.test('script that no release contains is a 404 without HTML and without caching', async () => {
    for (const edge of verge.edges) {
      for (const headers of [{}, { accept: '*/*', 'sec-fetch-dest': 'script' }]) {
        const response = await get(verge.url(edge, '/assets/nope-12345678.js'), edge, headers)
        assert.equal(response.status, 404)
        assert.equal(response.headers['cache-control'], 'no-store')
        assert.doesNotMatch(response.headers['content-type'] ?? '', /html/)
        assert.doesNotMatch(response.body, /<!doctype|<html/i)
      }
    }
  })
})

test('tabs opened before a second release keep working after it', options, async t => {
  const verge = await vergeUp(t, FIRST)

  await withReader(browser, async reader => {
    const old = await openEverywhere(reader, verge, 'v1', 'first edition')

    const pushed = await verge.push(SECOND)
    assert.deepEqual([pushed.site, pushed.release], ['demo', 'v2'])

    const fresh = await openEverywhere(reader, verge, 'v2', 'second edition')
    await fresh[0].screenshot('second')
    for (const tab of old) await navigateEverywhere(tab, 'first edition', await onlyIn(FIRST, SECOND))
    for (const tab of fresh) await navigateEverywhere(tab, 'second edition', await onlyIn(SECOND, FIRST))
    await old[0].screenshot('first-in-an-old-tab')
  })
})

test('tabs opened before two more releases keep working after them and after a rollback', options, async t => {
  const verge = await vergeUp(t, FIRST)

  await withReader(browser, async reader => {
    const [last, ...old] = await openEverywhere(reader, verge, 'v1', 'first edition')

    await verge.push(SECOND)
    const third = await withOtherRobots(t, SECOND)
    assert.equal((await verge.push(third)).release, 'v3')

    await openEverywhere(reader, verge, 'v3', 'second edition')
    for (const tab of old) await navigateEverywhere(tab, 'first edition', await onlyIn(FIRST, third))

    await verge.rollback()

    await openEverywhere(reader, verge, 'v2', 'second edition')
    await navigateEverywhere(last, 'first edition', await onlyIn(FIRST, SECOND))
  })
})

test('tabs opened before a rollback keep working after it', options, async t => {
  const verge = await vergeUp(t, FIRST)
  await verge.push(SECOND)

  await withReader(browser, async reader => {
    const old = await openEverywhere(reader, verge, 'v2', 'second edition')

    await verge.rollback()

    const fresh = await openEverywhere(reader, verge, 'v1', 'first edition')
    await fresh[0].screenshot('first-after-rollback')
    for (const tab of old) await navigateEverywhere(tab, 'second edition', await onlyIn(SECOND, FIRST))
    for (const tab of fresh) await navigateEverywhere(tab, 'first edition', await onlyIn(FIRST, SECOND))
  })
})

/** Copies a build and changes its robots.txt, which makes it another release with the same pages. */
async function withOtherRobots(t, build) {
  const copy = await mkdtemp(path.join(tmpdir(), 'verge-browser-'))
  t.after(() => rm(copy, { recursive: true }))
  await cp(build, copy, { recursive: true })
  await writeFile(path.join(copy, 'robots.txt'), 'User-agent: *\nDisallow: /drafts/\n')
  return copy
}

/** Opens the home page on every edge and asserts which release each serves. */
async function openEverywhere(reader, verge, release, edition) {
  const tabs = []
  for (const edge of verge.edges) {
    const tab = await reader.open(verge.url(edge))
    assert.deepEqual(tab.response, { status: 200, release, edge: edge.name })
    await tab.expectText('edition', edition)
    tabs.push(tab)
  }
  return tabs
}

/**
 * Visits every page by clicking links, starting at the home page. Asserts that each page is of `edition`, the one
 * that the tab was opened with, and that one of its scripts was loaded just now and is only in that edition (`own`).
 */
async function navigateEverywhere(tab, edition, own) {
  await tab.bringToFront()
  for (const [link, chunk] of [['The lights', 'Lights'], ['Black Skerry', 'Light'], ['One night', 'Night']]) {
    const scripts = await tab.scriptsDuring(async () => {
      await tab.clickLink(link)
      await tab.expectText('edition', edition)
    })
    const names = scripts.map(script => path.basename(script))
    assert.ok(names.some(name => name.startsWith(`${chunk}-`) && own.has(name)), `${link}: expected a script of ${chunk} in ${names}`)
  }
  await tab.expectText('answer', COMMON_FLASHES)
  await tab.expectText('worker-edition', edition)
}

/** The names of the files in `assets/` that `build` contains and `other` does not. */
async function onlyIn(build, other) {
  const [names, others] = await Promise.all([build, other].map(folder => readdir(path.join(folder, 'assets'))))
  return new Set(names.filter(name => !others.includes(name)))
}
