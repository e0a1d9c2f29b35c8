import { isUtf8 } from 'node:buffer'

/**
 * What well-formed messages look like ("Message Formats"), written apart from the decoders under test: a shape is a row
 * of letters, one for each field. A problem is a sentence; undefined is none.
 *
 * `s` string · `1` `2` `4` integers of so many bytes · `v` length and value · `k` S or P · `z` transaction status ·
 * `b` format code · `o` the same in one byte · `*` any bytes up to the end · `(…)` a list behind its Int16 count · `e` error fields
 */
const FRONTEND: Readonly<Record<string, string>> = {
  Q: 's',
  P: 'ss(4)',
  B: 'ss(b)(v)(b)',
  D: 'ks',
  C: 'ks',
  E: 's4',
  H: '',
  S: '',
  X: '',
  F: '4(b)(v)b',
  d: '*',
  c: '',
  f: 's',
}

/** What may reach a client once its session has started: never CopyBothResponse. */
const BACKEND: Readonly<Record<string, string>> = {
  '1': '',
  '2': '',
  '3': '',
  A: '4ss',
  C: 's',
  D: '(v)',
  E: 'e',
  G: 'o(b)',
  H: 'o(b)',
  I: '',
  N: 'e',
  S: 'ss',
  T: '(s42424b)',
  V: 'v',
  Z: 'z',
  c: '',
  d: '*',
  n: '',
  s: '',
  t: '(4)',
}

/** What a gateway may send to a target once its session has started. */
const TO_TARGET = 'QPBDCEHSXdcfF'

/** `counts`: of the lists read so far. */
type Place = { readonly bytes: Buffer; at: number; readonly strict: boolean; readonly counts: number[] }

/** `frame` is whole, header included. */
export function frontendProblem(frame: Buffer): string | undefined {
  return problem(frame, FRONTEND, true)
}

export function backendProblem(frame: Buffer): string | undefined {
  return problem(frame, BACKEND, false)
}

export function toTargetProblem(frame: Buffer): string | undefined {
  if (!TO_TARGET.includes(String.fromCharCode(frame[0]!))) return `a target must never get ${describe(frame)}`
  return frontendProblem(frame)
}

function problem(frame: Buffer, shapes: Readonly<Record<string, string>>, strict: boolean): string | undefined {
  const shape = shapes[String.fromCharCode(frame[0]!)]
  if (shape === undefined) return `there is no message ${describe(frame)}`
  if (frame.readUInt32BE(1) !== frame.length - 1) return `its length is wrong: ${describe(frame)}`
  const place = { bytes: frame, at: 5, strict, counts: [] }
  const fits = read(place, shape) && place.at === frame.length && (!shape.includes('(b)(v)') || hasFormats(place))
  return fits ? undefined : `malformed ${describe(frame)}`
}

function describe(frame: Buffer): string {
  return `${String.fromCharCode(frame[0]!)} ${frame.toString('latin1', 5, 205)} (${frame.toString('hex', 0, 80)})`
}

function read(place: Place, shape: string): boolean {
  for (let at = 0; at < shape.length; at++) {
    if (shape[at] !== '(') {
      if (!readField(place, shape[at]!)) return false
      continue
    }
    const end = shape.indexOf(')', at)
    if (!readList(place, shape.slice(at + 1, end))) return false
    at = end
  }
  return true
}

function readList(place: Place, item: string): boolean {
  const count = readNumber(place, 2)
  if (count === undefined) return false
  place.counts.push(count)
  for (let number = 0; number < count; number++) if (!read(place, item)) return false
  return true
}

/** Of the parameters of a Bind or a FunctionCall: no format code, one for all, or one for each. */
function hasFormats({ counts: [formats, parameters] }: Place): boolean {
  return formats! < 2 || formats === parameters
}

function readField(place: Place, kind: string): boolean {
  switch (kind) {
    case 's':
      return readString(place)
    case 'v':
      return readValue(place)
    case 'k':
      return [0x53, 0x50].includes(readNumber(place, 1) ?? 0)
    case 'z':
      return [0x49, 0x54, 0x45].includes(readNumber(place, 1) ?? 0)
    case 'b':
      return (readNumber(place, 2) ?? 2) < 2
    case 'o':
      return (readNumber(place, 1) ?? 2) < 2
    case 'e':
      return readErrorFields(place)
    case '*':
      place.at = place.bytes.length
      return true
    default:
      return readNumber(place, Number(kind)) !== undefined
  }
}

function readNumber(place: Place, size: number): number | undefined {
  if (place.bytes.length - place.at < size) return undefined
  place.at += size
  return place.bytes.readUIntBE(place.at - size, size)
}

function readString(place: Place): boolean {
  const end = place.bytes.indexOf(0, place.at)
  if (end < 0) return false
  const text = place.bytes.subarray(place.at, end)
  place.at = end + 1
  return !place.strict || isUtf8(text)
}

function readValue(place: Place): boolean {
  const length = readNumber(place, 4)
  if (length === undefined) return false
  if (length === 0xffffffff) return true
  if (length > place.bytes.length - place.at) return false
  place.at += length
  return true
}

function readErrorFields(place: Place): boolean {
  for (;;) {
    const code = readNumber(place, 1)
    if (code === undefined || code === 0) return code === 0
    if (!readString(place)) return false
  }
}
