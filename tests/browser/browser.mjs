// Runs Chromium and records every error and warning in it.

import assert from 'node:assert/strict'
import { mkdir } from 'node:fs/promises'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { chromium } from 'playwright-core'

const ACTION_TIMEOUT = 20_000

/** Starts Chromium with an empty profile, which is deleted when the browser is closed. */
export function startBrowser() {
  return chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    headless: true,
    args: [
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
      '--no-proxy-server',
    ],
  })
}

/**
 * Runs `actions` with a new reader, who has an empty cache. Then asserts that there was no problem in any of
 * the reader's tabs: no error or warning in the console, no uncaught exception, no failed request.
 */
export async function withReader(browser, actions) {
  const context = await browser.newContext()
  context.setDefaultTimeout(ACTION_TIMEOUT)
  const reader = new Reader(context)
  try {
    await actions(reader)
    assert.deepEqual(reader.problems, [], 'the browser reports no problem')
  } catch (error) {
    // If a page does not show what is expected, the cause is usually an earlier problem.
    if (reader.problems.length) console.error('problems in the browser:', reader.problems)
    throw error
  } finally {
    await context.close()
  }
}

/**
 * Adds a line to `problems` for each error and warning in the console of any tab of `context`, uncaught exception, failed
 * request and response with an error. A request that the browser itself ends, as it does when a tab leaves a page, is none: if a
 * server ends a response, that is another error.
 */
export function recordProblems(context, problems) {
  context.on('console', message => {
    const { url } = message.location()
    if (/^(error|warning|assert)$/.test(message.type())) problems.push(`${message.type()}: ${message.text()} (${url})`)
  })
  context.on('weberror', event => problems.push(`exception: ${event.error()}`))
  context.on('requestfailed', request => {
    const error = request.failure()?.errorText
    if (error !== 'net::ERR_ABORTED') problems.push(`failed: ${request.url()} (${error})`)
  })
  context.on('response', response => {
    if (response.status() >= 400) problems.push(`${response.status()}: ${response.url()}`)
  })
}

class Reader {
  problems = []
  #context

  constructor(context) {
    this.#context = context
    recordProblems(context, this.problems)
  }

  /** Opens `url` in a new tab, and records the release and the edge that served it. */
  async open(url) {
    const page = await this.#context.newPage()
    const scripts = []
    page.on('response', response => {
      const { pathname } = new URL(response.url())
      if (pathname.endsWith('.js')) scripts.push(pathname)
    })
    const response = await page.goto(url)
    const { 'verge-release': release, 'verge-edge': edge } = response.headers()
    return new Tab(page, scripts, { status: response.status(), release, edge })
  }
}

class Tab {
  #page
  #scripts

  constructor(page, scripts, response) {
    this.#page = page
    this.#scripts = scripts
    /** The status, release and edge of the page. */
    this.response = response
  }

  /** Brings this tab to the front: browsers throttle background tabs. */
  async bringToFront() {
    await this.#page.bringToFront()
  }

  /** Clicks on a link and waits for the page with this title. */
  async clickLink(link, title = link) {
    await this.#page.getByRole('link', { name: link, exact: true }).click()
    await this.expectTitle(title)
  }

  async reload() {
    await this.#page.reload()
  }

  async close() {
    await this.#page.close()
  }

  /** Waits until a service worker controls this tab. */
  async waitForWorker() {
    await this.#page.waitForFunction(() => navigator.serviceWorker.controller !== null)
  }

  /** Waits until a service worker is active for this tab, which may not control it yet. */
  async waitForActiveWorker() {
    await this.#waitUntil(async () => Boolean((await navigator.serviceWorker.getRegistration())?.active), 'an active service worker')
  }

  /** Waits until a new service worker waits for the end of the tabs that an earlier one controls. */
  async waitForWaitingWorker() {
    await this.#waitUntil(async () => Boolean((await navigator.serviceWorker.getRegistration())?.waiting), 'a waiting service worker')
  }

  /** Waits until no service worker is registered for this tab, however often it loads itself again meanwhile. */
  async waitForNoWorker() {
    await this.#waitUntil(async () => (await navigator.serviceWorker.getRegistrations()).length === 0, 'no service worker')
  }

  /** Waits until `predicate`, which runs in the page, resolves to true. (The browser's own wait takes any promise for true.) */
  async #waitUntil(predicate, expected) {
    const deadline = Date.now() + ACTION_TIMEOUT
    // A page that is being left cannot answer.
    while (!(await this.#page.evaluate(predicate).catch(() => false))) {
      if (Date.now() > deadline) throw new Error(`${this.#page.url()} should have ${expected}`)
      await sleep(50)
    }
  }

  /** The names of the caches of this tab's origin. */
  async cacheNames() {
    return this.#page.evaluate(() => caches.keys())
  }

  /** Waits for the page with this title. */
  async expectTitle(title) {
    await this.#waitFor(this.#page.getByRole('heading', { name: title, exact: true, level: 1 }), `a page titled "${title}"`)
  }

  /** Waits until the text of the element with this test id is exactly `text`. */
  async expectText(id, text) {
    await this.#waitFor(this.#page.getByTestId(id).and(this.#page.getByText(text, { exact: true })), `"${text}" as the ${id}`)
  }

  async #waitFor(locator, expected) {
    try {
      await locator.waitFor()
    } catch (error) {
      const text = await this.#page.locator('body').innerText()
      throw new Error(`${this.#page.url()} should show ${expected}, but shows:\n${text}`, { cause: error })
    }
  }

  /** The text of the element with this test id. */
  async textOf(id) {
    return this.#page.getByTestId(id).innerText()
  }

  /** Waits until the image with this test id is loaded and decoded. */
  async expectImage(id) {
    const image = this.#page.getByTestId(id)
    await image.evaluate(image => image.decode())
    assert.ok((await image.evaluate(image => image.naturalWidth)) > 0, 'the image has a width')
  }

  /**
   * Waits until the fonts of this page are loaded, and asserts that `family` is one of them. (`fonts.check` alone
   * is also true for a family that no style sheet names.)
   */
  async expectFont(family) {
    const faces = await this.#page.evaluate(async family => {
      await document.fonts.ready
      const faces = [...document.fonts].filter(face => face.family.replaceAll('"', '') === family)
      return { statuses: faces.map(face => face.status), usable: document.fonts.check(`1em "${family}"`) }
    }, family)
    assert.deepEqual(faces, { statuses: ['loaded'], usable: true })
  }

  /** Runs `actions` and returns the paths of the scripts loaded meanwhile, from the network or the cache. */
  async scriptsDuring(actions) {
    const before = this.#scripts.length
    await actions()
    return this.#scripts.slice(before)
  }

  /** Saves a screenshot of the tab in the folder $SCREENSHOTS, if it is set. */
  async screenshot(name) {
    if (!process.env.SCREENSHOTS) return
    await mkdir(process.env.SCREENSHOTS, { recursive: true })
    await this.#page.screenshot({ path: path.join(process.env.SCREENSHOTS, `${name}.png`) })
  }
}
