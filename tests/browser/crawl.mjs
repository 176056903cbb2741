// Visits a site as a reader who clicks on everything, and as one who opens every address.

import { recordProblems } from './browser.mjs'
import { openTab } from './page.mjs'
import { expectedType } from './types.mjs'
import { get } from './verge.mjs'

/**
 * Visits every page of the site at `home` that links lead to, starting there, and loads every file that a page, a style
 * sheet or a web manifest names. Each page is opened by its address and loaded again; then a link to it is clicked on, and
 * it is left by the browser's Back. It must show the same each time, after `patience` (milliseconds) at most. `missing` are
 * paths without a file.
 *
 * Resolves to the paths of the `pages` and `files`; the own links that only redirect (`redirects`); the pages that a click
 * showed without loading another document (`routed`); what is shown at the paths in `missing`; and the `problems`, each a
 * line: errors and warnings in the console, exceptions, failed requests, links and files that lead nowhere, wrong types, and
 * pages that show something else when they are loaded again or reached by a link.
 */
export async function crawl(browser, home, { missing = [], patience = 5_000 } = {}) {
  const context = await browser.newContext()
  try {
    const crawler = new Crawler(home, patience)
    await crawler.open(context)
    await crawler.visitAll()
    await crawler.followAll()
    crawler.checkAnchors()
    return crawler.report(await crawler.visitMissing(missing))
  } finally {
    await context.close()
  }
}

class Crawler {
  #tab
  #patience
  #origin
  /** Browsers know that a name below `localhost` is this machine; other resolvers may not. */
  #address
  #problems = []
  /** The contents of each page, by its path. */
  #pages = new Map()
  #files = new Set()
  #redirects = new Set()
  #routed = new Set()
  /** What named each path that is known. */
  #referrers = new Map()
  #queue = []

  constructor(home, patience) {
    const { origin, pathname, port } = new URL(home)
    this.#patience = patience
    this.#origin = origin
    this.#address = { url: `http://127.0.0.1:${port}` }
    this.#add(pathname, 'the caller')
  }

  async open(context) {
    recordProblems(context, this.#problems)
    this.#tab = await openTab(context)
    // What a page loads without naming it, such as the chunks of a script.
    this.#tab.onResponse(url => this.#name(url, new URL(this.#tab.url).pathname))
  }

  /** Opens each page by its address, and goes on to what it names until nothing is new. */
  async visitAll() {
    while (this.#queue.length) await this.#request(this.#queue.shift())
  }

  async #request(path) {
    const { status, headers, body } = await get(this.#origin + path, this.#address, { accept: 'text/html,*/*;q=0.8' })
    const { location, 'content-type': type = '' } = headers
    if (location !== undefined) {
      this.#redirects.add(path)
      this.#name(location, path)
    } else if (status !== 200) {
      this.#problems.push(`${status}: ${path} (named by ${this.#referrers.get(path)})`)
    } else if (type !== expectedType(path)) {
      this.#problems.push(`type of ${path}: ${type}, expected ${expectedType(path)}`)
    } else if (type.startsWith('text/html')) {
      await this.#visit(path)
    } else {
      this.#files.add(path)
      for (const name of namedBy(type, body)) this.#name(name, path)
    }
  }

  async #visit(path) {
    await this.#tab.goto(this.#origin + path)
    const page = await this.#tab.contents()
    this.#compare(`${path} opened`, page, { path })
    await this.#tab.reload()
    this.#compare(`${path} loaded again`, await this.#tab.contents(), page)
    page.names.forEach(name => this.#name(name, path))
    this.#pages.set(path, page)
  }

  /** Clicks on a link to each page, on the first page that has one, and goes back. */
  async followAll() {
    const followed = new Set()
    for (const [source, { links }] of this.#pages) {
      const places = new Map(links.map(({ href, place }) => [this.#target(href, source)?.pathname, place]))
      const targets = [...places.keys()].filter(path => path !== source && this.#pages.has(path) && !followed.has(path))
      if (!targets.length) continue
      await this.#tab.goto(this.#origin + source)
      for (const target of targets) {
        followed.add(target)
        await this.#tab.click(places.get(target))
        await this.#expect(target, `${target} by a link of ${source}`)
        if (await this.#tab.isSameDocument()) this.#routed.add(target)
        await this.#tab.back()
        await this.#expect(source, `${source} by Back from ${target}`)
      }
    }
  }

  async #expect(path, how) {
    const page = this.#pages.get(path)
    await this.#tab.settle(page, this.#patience)
    this.#compare(how, await this.#tab.contents(), page)
  }

  #compare(how, shown, expected) {
    for (const key of ['path', 'title', 'text']) {
      if (key in expected && shown[key] !== expected[key]) {
        this.#problems.push(`${how}: the ${key} is ${JSON.stringify(shown[key])}, expected ${JSON.stringify(expected[key])}`)
      }
    }
  }

  /** A link to a part of a page must name a part that is there. */
  checkAnchors() {
    for (const [source, { links }] of this.#pages) {
      for (const { href } of links) {
        const { pathname, hash = '' } = this.#target(href, source) ?? {}
        const part = decodeURIComponent(hash.slice(1))
        if (part && this.#pages.get(pathname)?.anchors.includes(part) === false) {
          this.#problems.push(`no part #${part} in ${pathname} (named by ${source})`)
        }
      }
    }
  }

  /** Opens paths that have no file; resolves to the status and the heading of each. */
  async visitMissing(paths) {
    const shown = {}
    for (const path of paths) {
      const before = this.#problems.length
      const status = await this.#tab.goto(this.#origin + path)
      shown[path] = { status, title: (await this.#tab.contents()).title }
      // The browser reports the status of this page. That one is expected, while that of a file of the page is not.
      const reported = this.#problems.splice(before)
      this.#problems.push(...reported.filter(problem => !problem.includes(this.#origin + path)))
    }
    return shown
  }

  report(missing) {
    const sorted = paths => [...paths].map(decodeURI).sort()
    return {
      pages: sorted(this.#pages.keys()),
      files: sorted(this.#files),
      redirects: sorted(this.#redirects),
      routed: sorted(this.#routed),
      missing,
      problems: this.#problems,
    }
  }

  /** What `name` stands for on the page or in the file at `path`, if it is of this site. */
  #target(name, path) {
    const base = this.#origin + path
    const url = URL.canParse(name, base) ? new URL(name, base) : undefined
    return url?.origin === this.#origin ? url : undefined
  }

  #name(name, path) {
    const url = this.#target(name, path)
    if (url) this.#add(url.pathname, path)
  }

  #add(path, referrer) {
    if (this.#referrers.has(path)) return
    this.#referrers.set(path, referrer)
    this.#queue.push(path)
  }
}

/** What a style sheet or a web manifest names. */
function namedBy(type, body) {
  if (type.startsWith('text/css')) return Array.from(body.matchAll(/url\(\s*["']?([^"')]+)/g), match => match[1])
  if (!type.startsWith('application/manifest')) return []
  const { start_url: start, icons = [] } = JSON.parse(body)
  return [start, ...icons.map(({ src }) => src)]
}
