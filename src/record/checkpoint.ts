import { sign, verify } from 'node:crypto'
import type { KeyObject } from 'node:crypto'
import { Fault } from '../gateway/fault.ts'
import type { Checkpointed } from './entry.ts'
import type { Head } from './line.ts'

/** What a checkpoint says: record `upto` of the log of `installation` has the hash `head`. */
export type Checkpoint = Omit<Checkpointed, 'type'>

const PREFIX = 'sallyport-checkpoint v1 '
const INSTALLATION = /^[A-Za-z0-9_-]{1,64}$/
const LINE =
  /sallyport-checkpoint v1 ([A-Za-z0-9_-]{1,64}) (\d{1,15}) ([0-9a-f]{64}) (\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z) ([A-Za-z0-9_-]{86})\s*$/

/** Throws Fault `config` when the id could not stand in a checkpoint line. */
export function checkInstallation(installation: string): void {
  if (!INSTALLATION.test(installation))
    throw new Fault('config', `${JSON.stringify(installation)} is no installation id`)
}

export function signCheckpoint(privateKey: KeyObject, installation: string, head: Head, at: string): Checkpoint {
  const unsigned = { installation, upto: head.seq, head: head.hash, signed_at: at }
  return { ...unsigned, signature: sign(null, Buffer.from(signedText(unsigned)), privateKey).toString('base64url') }
}

export function isSigned(publicKey: KeyObject, checkpoint: Checkpoint): boolean {
  const signature = Buffer.from(checkpoint.signature, 'base64url')
  return verify(null, Buffer.from(signedText(checkpoint)), publicKey, signature)
}

/** The line that leaves the machine: the signed text, a space, the signature. */
export function checkpointLine(checkpoint: Checkpoint): string {
  return `${signedText(checkpoint)} ${checkpoint.signature}`
}

/**
 * Reads a line of the gateway's output; what stands before the checkpoint (a time, a container's name) is passed over.
 * `none`: the line has nothing to do with checkpoints; `broken`: it names one but is not a whole one.
 */
export function readCheckpointLine(line: string): Checkpoint | 'none' | 'broken' {
  const match = LINE.exec(line)
  if (!match) return line.includes(PREFIX.trim().split(' ')[0]!) ? 'broken' : 'none'
  const [, installation, upto, head, signed_at, signature] = match as unknown as readonly string[]
  return {
    installation: installation!,
    upto: Number(upto),
    head: head!,
    signed_at: signed_at!,
    signature: signature!,
  }
}

function signedText(checkpoint: Omit<Checkpoint, 'signature'>): string {
  const { installation, upto, head, signed_at } = checkpoint
  return `${PREFIX}${installation} ${upto} ${head} ${signed_at}`
}
