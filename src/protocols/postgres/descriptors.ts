import type { Operation } from '../../gateway/domain.ts'

/**
 * Which large object each open descriptor is of, as far as FunctionCalls have opened it in the transaction that is open.
 * Anything but a plain SELECT may open and close descriptors too: from then on nothing is known.
 */
export class Descriptors {
  readonly #open = new Map<number, string>()

  /** The target has opened the object with this OID. */
  opened(descriptor: number, oid: string): void {
    this.#open.set(descriptor, oid)
  }

  /** The object's OID. */
  objectOf(descriptor: number): string | undefined {
    return this.#open.get(descriptor)
  }

  /** An operation goes out. A FunctionCall tells by its own answer what it opens, and closes nothing for another. */
  follow({ touches, text }: Operation): void {
    if (text.startsWith(CALL)) return
    if (touches.some(({ action }) => action !== 'sql.select')) this.forget()
  }

  forget(): void {
    this.#open.clear()
  }
}

/** How the text of an operation begins that is a FunctionCall: no SQL does. */
export const CALL = 'FunctionCall '
