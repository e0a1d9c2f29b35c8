/** Why something broke. A refusal is a value; a failure is thrown, and is always one of these. */
export type FaultCode =
  | 'config'
  | 'policy'
  | 'identity'
  | 'protocol'
  | 'unrecordable'
  | 'store'
  | 'target'
  | 'lease'
  | 'parser'
  | 'usage'
  | 'closed'

export class Fault extends Error {
  readonly code: FaultCode
  constructor(code: FaultCode, message: string, cause?: unknown) {
    super(message, { cause })
    this.name = 'Fault'
    this.code = code
  }
}

/** Messages of faults may end in a full stop: a sentence made of one ends in one, and begins as a sentence does. */
export function sentence(message: string): string {
  const text = message.charAt(0).toUpperCase() + message.slice(1)
  return text.endsWith('.') ? text : `${text}.`
}

/** What went wrong and why, in one line: the messages of an error and of its causes. For operators; never for clients. */
export function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  const message = error.message === '' && 'code' in error ? String(error.code) : error.message.replace(/\.$/, '')
  return error.cause === undefined ? message : `${message}: ${reasonOf(error.cause)}`
}
