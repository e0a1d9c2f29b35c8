import type { Masker } from '../../mask/masker.ts'
import type { Frame } from './frames.ts'
import { decodeFunctionCallResponse } from './messages-target.ts'

const STAR = 0x2a

/**
 * What a function gave, with detected values replaced. It stays as long as it was: a client has made room for no more,
 * and counts its place in a large object by what it got.
 */
export function maskResult(frame: Frame, masker: Masker): Buffer {
  const value = decodeFunctionCallResponse(frame)
  const masked = value && masker.detects ? masker.text(value) : undefined
  if (!value || !masked) return frame.bytes
  const bytes = Buffer.from(frame.bytes)
  bytes.fill(STAR, frame.bytes.length - value.length)
  bytes.set(masked.subarray(0, value.length), frame.bytes.length - value.length)
  return bytes
}
