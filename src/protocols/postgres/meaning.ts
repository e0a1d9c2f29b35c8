import { hash } from 'node:crypto'
import type { Digest, Operation } from '../../gateway/domain.ts'
import { Fault } from '../../gateway/fault.ts'
import type { Connection } from './connection.ts'
import type { Portal } from './portals.ts'
import type { Understood } from './operations.ts'

/** What the target reports ("Asynchronous Operations") and literals or names depend on; `search_path` from 18 on. */
const SETTINGS: ReadonlySet<string> = new Set(['DateStyle', 'IntervalStyle', 'TimeZone', 'search_path'])

/** What decides how a text is read, by the gateway and by the target: as it was asked for at the start, for good. */
const PINNED: Readonly<Record<string, string>> = { client_encoding: 'UTF8', standard_conforming_strings: 'on' }

/** What, besides its text, decides what a statement of this session means. */
export class Meaning {
  /** Schemas unqualified names are searched in; undefined once a statement has changed that. */
  searchPath: readonly string[] | undefined
  /** A digest of the texts that changed the search path, in order: there may be any number of them. */
  #pathChanges = ''
  /** As the target last reported them; and as JSON. */
  readonly #settings = new Map<string, string>()
  #reported = '[]'
  /** Texts that may change them and are not answered yet. */
  #onTheirWay: readonly string[] = []

  /** The target reports a setting. Fault `protocol` for one that makes texts mean something else than was read. */
  report(name: string, value: string): void {
    if (Object.hasOwn(PINNED, name) && PINNED[name] !== value)
      throw new Fault('protocol', `the target has changed ${name} to ${value}`)
    if (!SETTINGS.has(name)) return
    this.#settings.set(name, value)
    this.#reported = JSON.stringify([...this.#settings].toSorted(([a], [b]) => (a < b ? -1 : 1)))
  }

  /** Follows a text that is about to be decided on. */
  follow({ text, usedTexts, changesSearchPath }: Understood): void {
    if (!changesSearchPath) return
    this.searchPath = undefined
    this.#pathChanges = hash('sha256', [this.#pathChanges, text, ...usedTexts].join('\n'))
  }

  /**
   * The settings as they will be when the text runs, as JSON: as reported, and the texts before it that may change them
   * still. Before version 18 the search path is not reported: then all texts that changed it.
   */
  settings({ text, mayChangeSettings }: Understood, stage: Operation['stage'], answered: boolean): string {
    if (answered) this.#onTheirWay = []
    const before = this.#onTheirWay
    if (stage === 'execute' && mayChangeSettings) this.#onTheirWay = [...before, text]
    const paths = this.#settings.has('search_path') ? '' : this.#pathChanges
    return before.length === 0 && paths === '' ? this.#reported : this.#reported + JSON.stringify([before, paths])
  }
}

/** SHA-256 over everything that gives the operation its meaning, as lines of JSON. */
export function digestOf(
  connection: Connection,
  understood: Understood,
  stage: Operation['stage'],
  portal?: Portal,
): Digest {
  const { session, target, answers, unsettled, meaning } = connection
  const { text, sent, touches, usedTexts, isTemporary } = understood
  const lines = [
    (understood.named ??= JSON.stringify([
      target.name,
      isTemporary ? session.opening.id : '',
      text,
      usedTexts,
      ...(sent === undefined ? [] : [sent]),
    ])),
    portal ? JSON.stringify([portal.parameters, portal.formats, portal.prepared.types]) : '[]',
    target.catalog.identify(touches),
    meaning.settings(understood, stage, answers.quiet && unsettled.messages === 0),
  ]
  return hash('sha256', lines.join('\n'), 'hex')
}
