import type { Answered, Entry, InSession, OperationDecided } from './entry.ts'

/**
 * The entry's members as JSON without the opening brace and with `type` first, ready for `encodeLine`: what
 * `JSON.stringify` gives of the entry. Measured: for the two types of which each statement makes one it costs three times
 * as much as putting their few members together.
 */
export function encodeMembers(entry: Entry): string {
  if (entry.type === 'operation') return operationMembers(entry)
  if (entry.type === 'answer') return answerMembers(entry)
  const { type, ...rest } = entry
  return JSON.stringify({ type, ...rest }).slice(1, -1)
}

function operationMembers(entry: OperationDecided): string {
  const { operation, stage, text, digest, touches, effect, decision, rules, policy } = entry
  return (
    `"type":"operation","operation":${quoted(operation)},${placeOf(entry)},"stage":"${stage}","text":${quoted(text)}` +
    `${member('sent', entry.sent)}${member('parameters', entry.parameters)},"digest":${quoted(digest)}` +
    `,"touches":${JSON.stringify(touches)},"effect":"${effect}"${member('measured', entry.measured)}` +
    `,"decision":"${decision}","rules":${JSON.stringify(rules)},"policy":${quoted(policy)}` +
    `${member('refusal', entry.refusal)}${member('approval', entry.approval)}`
  )
}

function answerMembers(entry: Answered): string {
  const { operation, size, bytes, digest, outcome } = entry
  return (
    `"type":"answer",${placeOf(entry)}${text('operation', operation)},"size":${size}` +
    `${text('bytes', bytes)}${text('digest', digest)}${member('outcome', outcome)}`
  )
}

function placeOf({ session, target, identity }: InSession): string {
  return `"session":${quoted(session)},"target":${quoted(target)},"identity":${quoted(identity)}`
}

function member(name: string, value: unknown): string {
  return value === undefined ? '' : `,"${name}":${JSON.stringify(value)}`
}

function text(name: string, value: string | undefined): string {
  return value === undefined ? '' : `,"${name}":${quoted(value)}`
}

/** Printable ASCII without quotation mark and backslash stands in JSON as it is (RFC 8259, section 7). */
const PLAIN = /^[ !#-[\]-~]*$/

function quoted(value: string): string {
  return PLAIN.test(value) ? `"${value}"` : JSON.stringify(value)
}
