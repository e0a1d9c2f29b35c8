import type { NameChange } from '../../sql/reader.ts'
import { isAffected, movesOf } from './name-moves.ts'
import type { Sense } from './sense.ts'

/** What one session changes, when it was told of it, and when that was over. */
type Event = {
  readonly at: number
  readonly owner: object
  readonly moves: readonly NameChange[]
  readonly over: boolean
}

/** A statement that is about to go to the target. */
export type Departure = {
  /** The session that it is of. */
  readonly owner: object
  readonly sense: Sense
  /** `now` of when its text was read. */
  readonly readAt: number
  /** `now` of when the target looked up its names, if that was before its text was read. */
  readonly boundAt?: number | undefined
  /** Something is hidden from its session, and only the meaning of its names keeps that back. */
  readonly exposed: boolean
}

/** A statement on its way to the target or not answered yet. */
export type Flight = Departure & { readonly at: number; readonly moves: readonly NameChange[]; landed: boolean }

/** What happened longer ago than so many changes is not remembered. */
const MOST_EVENTS = 1_000

/**
 * The changes of names that the sessions of one target make, and the statements that rely on names. Time is counted in
 * events. A statement is read with everything that others are changing; a change that comes later waits until the statements
 * that were read without it, and that it affects, are answered: so none of them finds its names changed when it runs.
 */
export class MovingNames {
  #now = 0
  #forgotten = 0
  #events: Event[] = []
  /** By session: the statements that change names, up to the end of their transaction. */
  readonly #pending = new Map<object, readonly Flight[]>()
  readonly #flights = new Set<Flight>()
  readonly #wakes = new Set<() => void>()

  get now(): number {
    return this.#now
  }

  /** What sessions other than this are changing. */
  others(owner: object): readonly NameChange[] {
    if (this.#pending.size === 0) return []
    const theirs = [...this.#pending].flatMap(([each, flights]) => (each === owner ? [] : flights))
    return theirs.flatMap(({ moves }) => moves)
  }

  /** `moved`: what it names may no longer mean what was read. Nothing may be awaited between this and `clear`. */
  depart(departure: Departure): Flight | 'moved' {
    const moves = movesOf(departure.sense)
    if ((departure.exposed || moves.length > 0) && this.#isOutdated(departure)) return 'moved'
    const { owner, exposed } = departure
    if (moves.length > 0) this.#note(owner, moves, false)
    const flight = { ...departure, at: this.#now, moves, landed: false }
    if (moves.length > 0) this.#pending.set(owner, [...(this.#pending.get(owner) ?? []), flight])
    if (exposed) this.#flights.add(flight)
    return flight
  }

  /** Nothing is on its way any more that was read without what it changes. */
  isClear(flight: Flight): boolean {
    const { owner, at, moves } = flight
    if (moves.length === 0) return true
    return ![...this.#flights].some((each) => each.owner !== owner && each.readAt < at && isAffected(each.sense, moves))
  }

  /** Resolves when it is clear, or when the signal aborts. */
  async clear(flight: Flight, signal: AbortSignal): Promise<void> {
    while (!this.isClear(flight) && !signal.aborted) {
      const { promise, resolve } = Promise.withResolvers<void>()
      this.#wakes.add(resolve)
      signal.addEventListener('abort', () => resolve(), { once: true })
      await promise
      this.#wakes.delete(resolve)
    }
  }

  /** It was answered, or never will be. */
  arrived(flight: Flight): void {
    flight.landed = true
    if (this.#flights.delete(flight)) this.#wake()
  }

  /** It does not go after all. */
  withdraw(flight: Flight): void {
    this.arrived(flight)
    this.#keep(flight.owner, (each) => each !== flight)
  }

  /** No transaction of this session is open: what it has changed is in the catalog, or undone. */
  settle(owner: object): void {
    const moves = (this.#pending.get(owner) ?? []).flatMap((each) => (each.landed ? each.moves : []))
    if (moves.length === 0) return
    this.#keep(owner, ({ landed }) => !landed)
    this.#note(owner, moves, true)
  }

  /** Nothing of this session runs any more. True when it may have changed names. */
  leave(owner: object): boolean {
    const changes = this.#pending.has(owner)
    for (const flight of [...this.#flights, ...(this.#pending.get(owner) ?? [])])
      if (flight.owner === owner) this.arrived(flight)
    this.settle(owner)
    return changes
  }

  #keep(owner: object, isKept: (flight: Flight) => boolean): void {
    const left = (this.#pending.get(owner) ?? []).filter(isKept)
    if (left.length > 0) this.#pending.set(owner, left)
    else this.#pending.delete(owner)
  }

  #isOutdated({ owner, sense, readAt, boundAt = readAt }: Departure): boolean {
    if (boundAt === this.#now) return false
    if (boundAt < this.#forgotten) return true
    const since = this.#events.filter(({ at, over }) => (over ? at > boundAt && at <= readAt : at > readAt))
    return since.some((event) => event.owner !== owner && isAffected(sense, event.moves))
  }

  #note(owner: object, moves: readonly NameChange[], over: boolean): void {
    this.#now++
    this.#events.push({ at: this.#now, owner, moves, over })
    if (this.#events.length > MOST_EVENTS) this.#forgotten = this.#events.shift()!.at
  }

  #wake(): void {
    for (const wake of this.#wakes) wake()
  }
}
