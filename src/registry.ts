import type { SessionId } from './gateway/domain.ts'
import type { HttpTarget } from './protocols/http/http-target.ts'
import type { PostgresTarget } from './protocols/postgres/postgres-target.ts'
import { same } from './config/same.ts'
import { reasonOf } from './gateway/fault.ts'
import { openTargets, type OpenTarget, type TargetParts, type TargetSettings } from './targets.ts'

/** A list of targets that could take the place of the one in use. */
export type TargetChange = AsyncDisposable & {
  /** Names of the targets that are new, other than before, or gone. */
  readonly changed: readonly string[]
  /** Puts it in place. Disposing a change that was not made closes what was opened for it. */
  readonly make: () => void
}

/**
 * The registered targets. One that is replaced or removed lives on until the last lease that it made is gone: only it
 * has the credential that can revoke them.
 */
export interface Registry extends AsyncDisposable {
  /** By name; they show every change. */
  readonly postgres: ReadonlyMap<string, PostgresTarget>
  readonly http: ReadonlyMap<string, HttpTarget>
  /** The target of this name by now, with its config. */
  find(name: string): OpenTarget | undefined
  /** The config that a target was made from, also when it has been replaced since. */
  madeFrom(target: object): TargetSettings | undefined
  /** All that may have leases out: those in use, and those that are to go. */
  all(): readonly OpenTarget['target'][]
  /** What is the same as before stays as it is. */
  prepare(configs: readonly TargetSettings[]): TargetChange
}

export type RegistryParts = Omit<TargetParts, 'leased' | 'settled'>

type Places = {
  readonly inUse: Map<string, OpenTarget>
  readonly going: Set<OpenTarget>
  readonly closing: Set<Promise<void>>
  readonly made: WeakMap<object, TargetSettings>
  readonly postgres: Map<string, PostgresTarget>
  readonly http: Map<string, HttpTarget>
}

/** An empty registry. */
export function openRegistry(parts: RegistryParts): Registry {
  const places: Places = {
    inUse: new Map(),
    going: new Set(),
    closing: new Set(),
    made: new WeakMap(),
    postgres: new Map(),
    http: new Map(),
  }
  const leased = new Set<SessionId>()
  const { inUse, going, closing } = places
  const every: TargetParts = {
    ...parts,
    leased,
    isLive: (session) => leased.has(session) || parts.isLive(session),
    settled: () => closeSettled(places, parts.warn),
  }
  return {
    postgres: places.postgres,
    http: places.http,
    find: (name) => inUse.get(name),
    madeFrom: (target) => places.made.get(target),
    all: () => [...inUse.values(), ...going].map(({ target }) => target),
    prepare: (configs) => prepare(places, configs, every),
    [Symbol.asyncDispose]: async () => {
      await disposeAll([...inUse.values(), ...going])
      await Promise.all(closing)
    },
  }
}

function prepare(places: Places, configs: readonly TargetSettings[], parts: TargetParts): TargetChange {
  const { inUse } = places
  const isKept = (config: TargetSettings): boolean => isMadeFrom(inUse.get(config.name), config)
  const others = configs.filter((config) => !isKept(config))
  const removed = [...inUse.keys()].filter((name) => configs.every((config) => config.name !== name))
  const opened = others.length > 0 ? openTargets(others, parts) : []
  let isMade = false
  return {
    changed: [...others.map(({ name }) => name), ...removed],
    make: () => {
      isMade = true
      for (const name of removed) replace(places, name, undefined)
      for (const one of opened) replace(places, one.config.name, one)
      closeSettled(places, parts.warn)
    },
    [Symbol.asyncDispose]: async () => {
      if (!isMade) await disposeAll(opened)
    },
  }
}

/** Labels are for policies: the target itself does not know them. */
function isMadeFrom(open: OpenTarget | undefined, { protocol, settings }: TargetSettings): boolean {
  return open !== undefined && open.config.protocol === protocol && same(open.config.settings, settings)
}

function replace({ inUse, going, made, postgres, http }: Places, name: string, next: OpenTarget | undefined): void {
  const before = inUse.get(name)
  if (before) going.add(before)
  for (const names of [inUse, postgres, http]) names.delete(name)
  if (next === undefined) return
  inUse.set(name, next)
  made.set(next.target, next.config)
  if ('agent' in next.target) http.set(name, next.target)
  else postgres.set(name, next.target)
}

function closeSettled({ going, closing }: Places, warn: (line: string) => void): void {
  for (const one of [...going].filter(({ isSettled }) => isSettled())) {
    going.delete(one)
    const closed = close(one, warn).finally(() => closing.delete(closed))
    closing.add(closed)
  }
}

async function close(one: OpenTarget, warn: (line: string) => void): Promise<void> {
  try {
    await one[Symbol.asyncDispose]()
  } catch (error) {
    warn(`target ${one.config.name}: could not be closed: ${reasonOf(error)}`)
  }
}

async function disposeAll(parts: readonly AsyncDisposable[]): Promise<void> {
  await Promise.all(parts.map((part) => part[Symbol.asyncDispose]()))
}
