// The real `verge` binary as a child process: started, spoken to, and always ended.

import assert from 'node:assert/strict'
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { request } from 'node:http'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { setTimeout as deadline } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

const here = path.dirname(fileURLToPath(import.meta.url))
const binary = path.resolve(process.env.VERGE_BIN ?? path.join(here, '../../target/debug/verge'))

// Generous, since an unoptimised build on a busy machine also has to make the encodings.
const READY_WITHIN = 120_000
const COMMAND_WITHIN = 120_000
const STOPPED_WITHIN = 20_000

const SITE = 'demo'

/**
 * Runs `verge up` with `folder` as its only site, in a home of its own, until the test `t` is over. Resolves
 * when all is ready to be read. The end of the test asks it to stop and asserts that it did so cleanly; a
 * test that failed also prints what `verge up` had to say.
 */
export async function vergeUp(t, folder) {
  const home = await mkdtemp(path.join(tmpdir(), 'verge-browser-'))
  const args = ['up', '--temp', '--port', '0', '--json', '--site', SITE, folder]
  const child = spawn(binary, args, { cwd: home, env: environment(home), stdio: ['ignore', 'pipe', 'pipe'] })
  const verge = new Verge(child, home)
  t.after(async () => {
    let clean = false
    try {
      await verge.stop()
      clean = true
    } finally {
      if (!t.passed || !clean) console.error(verge.said())
      await rm(home, { recursive: true, force: true })
    }
  })
  await verge.ready()
  return verge
}

class Verge {
  #child
  #home
  #ended
  #stdout = ''
  #stderr = ''

  constructor(child, home) {
    this.#child = child
    this.#home = home
    child.stdout.setEncoding('utf8').on('data', text => (this.#stdout += text))
    child.stderr.setEncoding('utf8').on('data', text => (this.#stderr += text))
    // `close` comes after the last of its output; `error` in its stead when there is no such binary.
    this.#ended = new Promise(resolve => {
      child.once('close', (code, signal) => resolve(signal ?? code))
      child.once('error', error => resolve(error.message))
    })
    this.#ended.then(() => running.delete(child))
    running.add(child)
  }

  /** Waits for the one line on stdout that tells where everything is. */
  async ready() {
    const line = new Promise(resolve => {
      this.#child.stdout.on('data', () => this.#stdout.includes('\n') && resolve('ready'))
    })
    const ended = this.#ended.then(how => `ended (${how})`)
    const outcome = await within(READY_WITHIN, [line, ended], 'said nothing in time')
    if (outcome !== 'ready') throw new Error(`verge up ${outcome}`)
    const { origin, token, edges, sites } = JSON.parse(this.#stdout)
    Object.assign(this, { origin, token, edges, sites })
  }

  /** The site's address on one edge. */
  url(edge, route = '/') {
    return `http://${SITE}.localhost:${new URL(edge.url).port}${route}`
  }

  /** Publishes `folder`; resolves once every edge has confirmed. */
  push(folder) {
    return this.#command('push', '--site', SITE, '--json', folder)
  }

  /** Goes back to the release before; resolves once every edge has confirmed. */
  rollback() {
    return this.#command('rollback', '--site', SITE, '--json')
  }

  async #command(...args) {
    const env = { ...environment(this.#home), VERGE_ORIGIN: this.origin, VERGE_TOKEN: this.token }
    const options = { cwd: this.#home, env, timeout: COMMAND_WITHIN }
    // What it rejects with when the command fails holds stderr in its message.
    const { stdout } = await promisify(execFile)(binary, args, options)
    assert.match(stdout, /^[^\n]+\n$/, `verge ${args[0]} --json prints one line`)
    return JSON.parse(stdout)
  }

  /** Asks it to end, as a service manager would, and asserts that it ends in time, with exit code 0. */
  async stop() {
    this.#child.kill('SIGTERM')
    const how = await within(STOPPED_WITHIN, [this.#ended], 'not in time')
    if (how === 'not in time') this.#child.kill('SIGKILL')
    assert.equal(how, 0, `verge up should end with code 0 after SIGTERM, but: ${how}`)
    assert.match(this.#stdout, /^[^\n]+\n$/, 'verge up --json prints one line')
  }

  /** What `verge up` wrote for people to read. */
  said() {
    return `--- verge up, stderr:\n${this.#stderr}---`
  }
}

/**
 * A plain GET of an edge, for what a browser does not show. The `Host` is the site's and the connection goes
 * to the edge's own address, so that no resolver needs to know names below `localhost`.
 */
export async function get(url, edge, headers = {}) {
  const { hostname, port } = new URL(edge.url)
  const { host, pathname } = new URL(url)
  const asked = request({ hostname, port, path: pathname, headers: { host, ...headers } }).end()
  const [response] = await once(asked, 'response')
  let body = ''
  for await (const text of response.setEncoding('utf8')) body += text
  return { status: response.statusCode, headers: response.headers, body }
}

/** This process's environment without the caller's own Verge: no profile, no origin, no token of theirs. */
function environment(home) {
  const own = Object.entries(process.env).filter(([name]) => !/^(VERGE|XDG)_/.test(name))
  return { ...Object.fromEntries(own), HOME: home }
}

/** The first of `promises`, or `otherwise` when the time is up. */
async function within(milliseconds, promises, otherwise) {
  const cancel = new AbortController()
  const late = deadline(milliseconds, otherwise, { signal: cancel.signal })
  late.catch(() => {})
  try {
    return await Promise.race([...promises, late])
  } finally {
    cancel.abort()
  }
}

// Whatever ends this process, no `verge up` outlives it.
const running = new Set()
process.on('exit', () => running.forEach(child => child.kill('SIGKILL')))
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.once(signal, () => process.exit(1))
