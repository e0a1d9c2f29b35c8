import { createHash } from 'node:crypto'
import type { Digest, Operation, Touch } from '../../gateway/domain.ts'
import type { Connection } from './connection.ts'
import type { Portal } from './portals.ts'
import type { Understood } from './operations.ts'

/** What the target reports ("Asynchronous Operations") and literals or names depend on; `search_path` from 18 on. */
const SETTINGS: ReadonlySet<string> = new Set(['DateStyle', 'IntervalStyle', 'TimeZone', 'search_path'])

/** Statements of these actions leave every setting as it is. */
const LEAVE_SETTINGS = ['sql.select', 'sql.insert', 'sql.update', 'sql.delete', 'sql.show']

/** What, besides its text, decides what a statement of this session means. */
export class Meaning {
  /** Schemas unqualified names are searched in; undefined once a statement has changed that. */
  searchPath: readonly string[] | undefined
  /** The texts that changed the search path, in order. */
  #pathChanges: readonly string[] = []
  /** As the target last reported them. */
  readonly #settings = new Map<string, string>()
  /** Texts that may change them and are not answered yet. */
  #onTheirWay: readonly string[] = []

  /** The target reports a setting. */
  report(name: string, value: string): void {
    if (SETTINGS.has(name)) this.#settings.set(name, value)
  }

  /** Follows a text that is about to be decided on. */
  follow({ text, statements, used, usedTexts }: Understood): void {
    if (![...statements, ...used].some(({ changesSearchPath }) => changesSearchPath)) return
    this.searchPath = undefined
    this.#pathChanges = [...this.#pathChanges, [text, ...usedTexts].join('\n')]
  }

  /**
   * The settings as they will be when the text runs: as reported, and the texts before it that may change them still.
   * Before version 18 the search path is not reported: then all texts that changed it.
   */
  settings({ text, touches }: Understood, stage: Operation['stage'], answered: boolean): unknown {
    if (answered) this.#onTheirWay = []
    const before = this.#onTheirWay
    if (stage === 'execute' && touches.some(mayChangeSettings)) this.#onTheirWay = [...before, text]
    return [
      [...this.#settings].toSorted(([a], [b]) => (a < b ? -1 : 1)),
      before,
      this.#settings.has('search_path') ? [] : this.#pathChanges,
    ]
  }
}

/** SHA-256 over the JSON of everything that gives the operation its meaning. */
export function digestOf(
  connection: Connection,
  understood: Understood,
  stage: Operation['stage'],
  portal?: Portal,
): Digest {
  const { session, target, answers, unsettled, meaning } = connection
  const { text, touches, usedTexts } = understood
  const everything = [
    target.name,
    text,
    usedTexts,
    portal && [portal.parameters, portal.formats, portal.prepared.types],
    touches.map(({ action, resource }) => [action, resource.type, resource.id, target.catalog.oidOf(resource.id)]),
    meaning.settings(understood, stage, answers.quiet && unsettled.messages === 0),
    touches.some(isTemporary) ? session.opening.id : '',
  ]
  return createHash('sha256').update(JSON.stringify(everything)).digest('hex')
}

/** What stands in a temporary schema, or is hidden by something there, is that in this session only. */
function isTemporary({ resource }: Touch): boolean {
  return resource.id.includes('/pg_temp')
}

function mayChangeSettings({ action, facts }: Touch): boolean {
  return !LEAVE_SETTINGS.includes(action) && facts.args['/kind'] !== 'begin'
}
