import type { Masker } from '../../mask/masker.ts'
import { leavesOf } from './binary-values.ts'
import type { Format } from './messages-client.ts'
import { numberText } from './number-text.ts'
import { placeholder } from './placeholders.ts'

/** The value as it may be shown; undefined: as it is; null: SQL NULL. */
export type DetectIn = (value: Buffer, masker: Masker) => Buffer | null | undefined

/**
 * Types whose values cannot carry what detectors look for: bool, bytea, "char", int2, int4, oid, tid, xid, cid, points,
 * boxes and the like, float4, addresses, dates and times, uuid, LSNs, snapshots. bytea is text only to those who decode it.
 */
const WITHOUT_TEXT: ReadonlySet<number> = new Set([
  16, 17, 18, 21, 23, 24, 26, 27, 28, 29, 600, 601, 602, 603, 604, 628, 650, 651, 700, 718, 774, 775, 829, 869, 1000,
  1001, 1002, 1005, 1007, 1021, 1028, 1040, 1041, 1082, 1083, 1114, 1115, 1182, 1183, 1184, 1185, 1186, 1187, 1266,
  1270, 1560, 1562, 2205, 2278, 2950, 2951, 3220, 5038, 5069,
])

/** int8, float8, money, numeric: a card number may be kept as one. Their text has no place for stars. */
const NUMBERS: ReadonlySet<number> = new Set([20, 701, 790, 1700])
/** Arrays of those and of JSON: stars inside would be read as a broken element. */
const STRICT_ARRAYS: ReadonlySet<number> = new Set([199, 791, 1016, 1022, 1231, 3807])
const JSON_TYPE = 114
const JSONB_TYPE = 3802
/** name, text, xml, unknown, bpchar, varchar, cstring: in binary as in text. */
const TEXTS: ReadonlySet<number> = new Set([19, 25, 142, 705, 1042, 1043, 2275])

/** How values of a type are searched in a format; undefined when they need not be. */
export function detectorFor(typeOid: number, format: Format): DetectIn | undefined {
  if (WITHOUT_TEXT.has(typeOid)) return undefined
  const instead = placeholder(typeOid, format)
  if (typeOid === JSON_TYPE) return (value, masker) => detectInJson(value, masker, instead)
  if (typeOid === JSONB_TYPE)
    return format === 1 ? detectInBinaryJsonb : (value, masker) => detectInJson(value, masker, instead)
  if (TEXTS.has(typeOid)) return detectInText
  if (format === 1) return detectInBinary(typeOid, instead)
  if (NUMBERS.has(typeOid) || STRICT_ARRAYS.has(typeOid))
    return (value, masker) => (masker.text(value) ? instead : undefined)
  return detectInText
}

/** True when values are searched as they stand: what is found in one stands in the bytes of its row too. */
export function searchesText(typeOid: number, format: Format): boolean {
  return format === 0 || TEXTS.has(typeOid) || typeOid === JSON_TYPE || typeOid === JSONB_TYPE
}

function detectInText(value: Buffer, masker: Masker): Buffer | undefined {
  const masked = masker.text(value)
  return masked && Buffer.from(masked.buffer, masked.byteOffset, masked.byteLength)
}

/** A card number may also stand in JSON as a number, where stars are no JSON: then the whole value is replaced. */
function detectInJson(value: Buffer, masker: Masker, instead: Buffer | null): Buffer | null | undefined {
  const masked = detectInText(value, masker)
  return masked && !isJson(masked) ? instead : masked
}

function isJson(text: Buffer): boolean {
  try {
    JSON.parse(text.toString('utf8'))
    return true
  } catch {
    return false
  }
}

/** A version byte, then the text (`jsonb_send`). */
function detectInBinaryJsonb(value: Buffer, masker: Masker): Buffer | null | undefined {
  const instead = placeholder(JSONB_TYPE, 1)
  const masked = detectInJson(value.subarray(1), masker, instead)
  return masked && masked !== instead ? Buffer.concat([value.subarray(0, 1), masked]) : masked
}

/** Lengths inside would no longer fit: a value with anything found in it is replaced whole. */
function detectInBinary(typeOid: number, instead: Buffer | null): DetectIn {
  if (NUMBERS.has(typeOid))
    return (value, masker) => (masker.text(Buffer.from(numberText(typeOid, value))) ? instead : undefined)
  return (value, masker) => {
    const leaves = leavesOf(value)
    return !leaves || leaves.some((leaf) => masker.text(leaf.bytes) || hasNumber(leaf.typeOid, leaf.bytes, masker))
      ? instead
      : undefined
  }
}

function hasNumber(typeOid: number, value: Buffer, masker: Masker): boolean {
  return NUMBERS.has(typeOid) && masker.text(Buffer.from(numberText(typeOid, value))) !== undefined
}
