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
