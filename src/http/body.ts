import type { Readable } from 'node:stream'
import { Fault } from '../gateway/fault.ts'

/**
 * The whole of a body, or undefined when it is longer than `limit` bytes; the rest is then left unread. Throws Fault
 * `closed` when it breaks off.
 */
export async function readBody(stream: Readable, limit: number): Promise<Buffer | undefined> {
  const chunks: Buffer[] = []
  let size = 0
  try {
    for await (const chunk of stream.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
      size += chunk.length
      if (size > limit) return undefined
      chunks.push(chunk)
    }
  } catch (error) {
    throw new Fault('closed', 'the body of the message broke off', error)
  }
  return Buffer.concat(chunks)
}
