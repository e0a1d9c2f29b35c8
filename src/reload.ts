import { dirname } from 'node:path'
import { openConfig } from './config/config.ts'
import { fingerprint } from './config/sources.ts'
import { Fault, reasonOf } from './gateway/fault.ts'
import { changedParts, nextInForce, type Foundation, type InForce } from './in-force.ts'
import { policyPaths } from './policy/policy-files.ts'
import type { Entry } from './record/entry.ts'
import type { Registry } from './registry.ts'
import { PROTOCOLS } from './targets.ts'

/** How it stands with the config and policies of a running gateway. Times are ms since the epoch. */
export type ReloadStatus = {
  /** Hash of the policies in force. */
  readonly policy: string
  /** Since when they and the config are. */
  readonly since: number
  /** What the last reload changed, as `config.reloaded` in the records says it; empty after the start. */
  readonly changed: readonly string[]
  /** The last attempt was refused whole; `errors` as `sallyport check` prints them. */
  readonly refused?: { readonly at: number; readonly errors: readonly string[] }
}

/** Puts changed files into force, whole or not at all. */
export interface Reloading {
  status(): ReloadStatus
  /** Reads everything anew. While one runs, all who ask share the next one. Never rejects. */
  reload(): Promise<ReloadStatus>
  /** The files are other than they were at the last attempt. */
  isStale(): Promise<boolean>
  /** Where the files are. */
  directories(): readonly string[]
}

export type ReloadingParts = {
  readonly foundation: Foundation
  readonly inForce: () => InForce
  /** Must not fail. */
  readonly enforce: (next: InForce) => void
  readonly registry: Registry
  /** There is a listener for http. */
  readonly http: boolean
  /** The files that the first config points to. */
  readonly reads: readonly string[]
  readonly append: (entry: Entry) => Promise<unknown>
  readonly warn: (line: string) => void
}

/** What a config was read from: itself and what it points to, and its directory of policies. */
type Sources = { readonly files: readonly string[]; readonly policies: string }

type Read = { readonly sources?: Sources } & ({ readonly next: InForce } | { readonly fault: Fault })

type State = { sources: Sources; print: string; status: ReloadStatus }

/** How often files that change while they are read are read again. */
const ATTEMPTS = 10
const ERRORS_KEPT = 50

/** To be called as soon as the first config has been read. */
export async function createReloading(parts: ReloadingParts): Promise<Reloading> {
  const { config, policy } = parts.inForce()
  const sources = { files: [config.file, ...parts.reads], policies: config.policies }
  const status = { policy: policy.hash, since: parts.foundation.clock.now(), changed: [] }
  const state: State = { sources, print: await printOf(sources), status }
  return {
    status: () => state.status,
    reload: coalesced(() => attempt(parts, state)),
    isStale: async () => (await printOf(state.sources)) !== state.print,
    directories: () => directoriesOf(state.sources),
  }
}

/** One at a time; whoever asks while one runs gets the one after it. */
function coalesced<T>(run: () => Promise<T>): () => Promise<T> {
  let running: Promise<T> | undefined
  let next: Promise<T> | undefined
  const begin = (): Promise<T> => {
    next = undefined
    running = run().finally(() => {
      if (next === undefined) running = undefined
    })
    return running
  }
  return () => {
    if (running === undefined) return begin()
    next ??= running.then(begin, begin)
    return next
  }
}

async function attempt(parts: ReloadingParts, state: State): Promise<ReloadStatus> {
  const { clock } = parts.foundation
  try {
    const next = await readWhole(parts, state)
    const changed = await apply(parts, next)
    state.status = { policy: next.policy.hash, since: clock.now(), changed }
  } catch (error) {
    const errors = reasonsIn(error)
    state.status = { ...state.status, refused: { at: clock.now(), errors } }
    if (isUnrecordable(error)) state.print = '' // tried again as soon as somebody looks
    else await recordRefused(parts, errors)
  }
  return state.status
}

/** Reads until nothing changed meanwhile, so that no half of a change comes into force. Throws why it cannot be used. */
async function readWhole(parts: ReloadingParts, state: State): Promise<InForce> {
  for (let turn = 0; turn < ATTEMPTS; turn++) {
    const before = await printOf(state.sources)
    const read = await readOnce(parts)
    const moved = read.sources !== undefined && JSON.stringify(read.sources) !== JSON.stringify(state.sources)
    state.sources = read.sources ?? state.sources
    state.print = await printOf(state.sources)
    if (moved || state.print !== before) continue
    if ('fault' in read) throw read.fault
    return read.next
  }
  throw new Fault('config', `${parts.inForce().config.file}:1: the files change faster than they can be read`)
}

/** A config that cannot be used may still say where its files are. */
async function readOnce({ inForce, foundation, http }: ReloadingParts): Promise<Read> {
  let sources: Sources | undefined
  try {
    const opened = await openConfig(inForce().config.file, PROTOCOLS)
    const { config, reads } = opened
    sources = { files: [config.file, ...reads], policies: config.policies }
    return { sources, next: await nextInForce(inForce(), opened, foundation, http) }
  } catch (fault) {
    if (fault instanceof Fault) return { sources, fault }
    throw fault
  }
}

/** Recorded first: what cannot be recorded does not come into force. What changed. */
async function apply(
  { inForce, enforce, registry, append }: ReloadingParts,
  next: InForce,
): Promise<readonly string[]> {
  await using change = registry.prepare(next.config.targets)
  const changed = changedParts(inForce(), next, change.changed)
  await append({ type: 'config.reloaded', policy: next.policy.hash, changed })
  change.make()
  enforce(next)
  return changed
}

async function recordRefused({ inForce, append, warn }: ReloadingParts, errors: readonly string[]): Promise<void> {
  try {
    await append({ type: 'config.refused', policy: inForce().policy.hash, errors })
  } catch (error) {
    warn(`the refusal of a reload could not be recorded: ${reasonOf(error)}`)
  }
}

function isUnrecordable(error: unknown): boolean {
  return error instanceof Fault && error.code === 'unrecordable'
}

function reasonsIn(error: unknown): readonly string[] {
  const reason = error instanceof Fault ? error.message : `an internal error: ${reasonOf(error)}`
  return reason.split('\n').slice(0, ERRORS_KEPT)
}

function printOf({ files, policies }: Sources): Promise<string> {
  return fingerprint([...files, ...pathsIn(policies)])
}

function pathsIn(policies: string): readonly string[] {
  try {
    return policyPaths(policies)
  } catch {
    return [policies] // counts by why it cannot be read
  }
}

function directoriesOf({ files, policies }: Sources): readonly string[] {
  const places = [...files, policies, ...pathsIn(policies)].map((path) => dirname(path))
  return [...new Set([...places, policies])]
}
