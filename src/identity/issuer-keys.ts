import { createHash } from 'node:crypto'
import { createLocalJWKSet, type CompactVerifyGetKey, errors, type JSONWebKeySet } from 'jose'
import type { Clock } from '../gateway/clock.ts'
import { isLoopback } from '../config/loopback.ts'

/** The part of `fetch` that is used. */
export type Fetch = (url: string, init: RequestInit) => Promise<Response>

/** The keys an issuer publishes, as of one answer. `digest` changes when they do. */
export type KeySet = { readonly find: CompactVerifyGetKey; readonly digest: string }

/** Why there are no keys. */
export type Unreadable = { readonly problem: string }

/** The keys of one issuer: read by discovery, cached, and read again so that a rotation is known at once. */
export interface IssuerKeys {
  /** At most 30 s old while the issuer answers, at most 10 min while it does not. */
  current(): Promise<KeySet | Unreadable>
  /** For a token that `current` cannot verify: reads again, but at most every 5 s. */
  renewed(): Promise<KeySet | Unreadable>
}

const FRESH_MS = 30_000
const STALE_MS = 600_000
const RETRY_MS = 1_000
const COOLDOWN_MS = 5_000
const DISCOVERY_MS = 600_000
const TIMEOUT_MS = 5_000
const SIZE_LIMIT = 1024 * 1024

type Options = { readonly issuer: string; readonly clock: Clock; readonly fetch: Fetch }
type Aged<T> = { readonly value: T; readonly at: number }

/** Keeps the keys of `issuer`. Asks nothing before the first call. */
export function issuerKeys({ issuer, clock, fetch }: Options): IssuerKeys {
  let keys: Aged<KeySet> | undefined
  let location: Aged<string> | undefined
  let failure: Aged<string> | undefined
  let running: Promise<void> | undefined
  let forcedAt = -Infinity

  const age = (of: Aged<unknown> | undefined): number => (of ? clock.monotonic() - of.at : Infinity)

  async function read(): Promise<void> {
    const uri = age(location) < DISCOVERY_MS ? location!.value : await discover(issuer, fetch)
    const result = typeof uri === 'string' ? await readKeys(uri, fetch) : uri
    const at = clock.monotonic()
    if ('problem' in result) {
      failure = { value: result.problem, at }
      location = undefined
      return
    }
    if (uri !== location?.value) location = { value: uri as string, at }
    keys = { value: result, at }
    failure = undefined
  }

  function readOnce(): Promise<void> {
    running ??= read().finally(() => (running = undefined))
    return running
  }

  function held(): KeySet | Unreadable {
    return age(keys) < STALE_MS ? keys!.value : { problem: failure?.value ?? 'not read yet' }
  }

  return {
    async current() {
      if (age(keys) >= FRESH_MS && (running || age(failure) >= RETRY_MS)) await readOnce()
      return held()
    },
    async renewed() {
      if (running || clock.monotonic() - forcedAt >= COOLDOWN_MS) {
        forcedAt = clock.monotonic()
        await readOnce()
      }
      return failure ? { problem: failure.value } : held()
    },
  }
}

/** The `jwks_uri` of an issuer (OpenID Connect Discovery 1.0 section 4). */
async function discover(issuer: string, fetch: Fetch): Promise<string | Unreadable> {
  const answer = await getJson(`${issuer.replace(/\/$/, '')}/.well-known/openid-configuration`, fetch)
  if ('problem' in answer) return { problem: `discovery: ${answer.problem}` }
  const metadata = answer.json as { readonly issuer?: unknown; readonly jwks_uri?: unknown } | null
  if (metadata?.issuer !== issuer) return { problem: 'discovery: the document is of another issuer' }
  const uri = metadata.jwks_uri
  if (typeof uri !== 'string' || !isTrustedUrl(uri, issuer)) return { problem: 'discovery: jwks_uri is not usable' }
  return uri
}

/** https; plain http only from loopback to loopback. */
function isTrustedUrl(uri: string, issuer: string): boolean {
  if (!URL.canParse(uri)) return false
  const { protocol, hostname } = new URL(uri)
  return protocol === 'https:' || (protocol === 'http:' && isLoopback(hostname) && issuer.startsWith('http:'))
}

async function readKeys(uri: string, fetch: Fetch): Promise<KeySet | Unreadable> {
  const answer = await getJson(uri, fetch)
  if ('problem' in answer) return { problem: `keys: ${answer.problem}` }
  try {
    const digest = createHash('sha256').update(answer.text).digest('hex')
    return { find: createLocalJWKSet(answer.json as JSONWebKeySet), digest }
  } catch (error) {
    if (error instanceof errors.JOSEError) return { problem: 'keys: not a key set' }
    throw error
  }
}

type Answer = { readonly json: unknown; readonly text: string }

/** Never follows a redirect: where the keys are is the configured issuer's word alone. */
async function getJson(url: string, fetch: Fetch): Promise<Answer | Unreadable> {
  try {
    const signal = AbortSignal.timeout(TIMEOUT_MS)
    const response = await fetch(url, { signal, redirect: 'manual', headers: { accept: 'application/json' } })
    if (response.status !== 200) {
      await response.body?.cancel()
      return { problem: `answered ${response.status}` }
    }
    const text = await readLimited(response)
    return text === undefined ? { problem: 'answer larger than 1 MiB' } : { json: JSON.parse(text), text }
  } catch (error) {
    if (error instanceof SyntaxError) return { problem: 'answer is not JSON' }
    return { problem: (error as Error).name === 'TimeoutError' ? 'no answer within 5 s' : 'no answer' }
  }
}

async function readLimited(response: Response): Promise<string | undefined> {
  const chunks: Uint8Array[] = []
  let size = 0
  for await (const chunk of response.body ?? []) {
    size += chunk.length
    if (size > SIZE_LIMIT) return undefined
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString('utf8')
}
