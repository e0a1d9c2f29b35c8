import type { Format } from './messages-client.ts'

/**
 * What stands in for a hidden value: valid for its type, so that a driver can read the row, and the same for every value.
 * Type OIDs are those of PostgreSQL's `pg_type.dat`, binary forms those of the types' send functions.
 */
export type Placeholder = { readonly text: Buffer; readonly binary: Buffer }

const STARS = '***'
const MONEY = 790
const BYTEA = 17

/** OID -> text and binary (hex). */
const SCALARS: readonly (readonly [oid: number, text: string, hex: string])[] = [
  [16, 'f', '00'], // bool
  [BYTEA, '\\x', ''], // bytea
  [18, '*', '2a'], // "char"
  [20, '0', '0000000000000000'], // int8
  [21, '0', '0000'], // int2
  [23, '0', '00000000'], // int4
  [26, '0', '00000000'], // oid
  [114, `"${STARS}"`, '222a2a2a22'], // json
  [650, '0.0.0.0/32', '0220010400000000'], // cidr
  [700, '0', '00000000'], // float4
  [701, '0', '0000000000000000'], // float8
  [774, '00:00:00:00:00:00:00:00', '0000000000000000'], // macaddr8
  [MONEY, '$0.00', '0000000000000000'], // money
  [829, '00:00:00:00:00:00', '000000000000'], // macaddr
  [869, '0.0.0.0', '0220000400000000'], // inet
  [1082, '1970-01-01', 'ffffd533'], // date: days from 2000-01-01
  [1083, '00:00:00', '0000000000000000'], // time
  [1114, '1970-01-01 00:00:00', 'fffca2fecc4a6000'], // timestamp: microseconds from 2000-01-01
  [1184, '1970-01-01 00:00:00+00', 'fffca2fecc4a6000'], // timestamptz
  [1186, '00:00:00', '00000000000000000000000000000000'], // interval
  [1266, '00:00:00+00', '000000000000000000000000'], // timetz
  [1700, '0', '0000000000000000'], // numeric
  [2950, '00000000-0000-0000-0000-000000000000', '00000000000000000000000000000000'], // uuid
  [3802, `"${STARS}"`, '01222a2a2a22'], // jsonb: a version byte first
]

/** name, text, xml, unknown, bpchar, varchar, cstring: the same in both formats. */
const TEXTS: readonly number[] = [19, 25, 142, 705, 1042, 1043, 2275]

/** Array type -> element type. */
const ARRAYS: ReadonlyMap<number, number> = new Map([
  [1000, 16],
  [1001, 17],
  [1002, 18],
  [1003, 19],
  [1016, 20],
  [1005, 21],
  [1007, 23],
  [1009, 25],
  [1028, 26],
  [199, 114],
  [143, 142],
  [651, 650],
  [1021, 700],
  [1022, 701],
  [775, 774],
  [791, 790],
  [1040, 829],
  [1041, 869],
  [1014, 1042],
  [1015, 1043],
  [1182, 1082],
  [1183, 1083],
  [1115, 1114],
  [1185, 1184],
  [1187, 1186],
  [1270, 1266],
  [1231, 1700],
  [2951, 2950],
  [3807, 3802],
])

const PLACEHOLDERS: ReadonlyMap<number, Placeholder> = new Map([
  ...SCALARS.map(([oid, text, hex]) => [oid, { text: Buffer.from(text), binary: Buffer.from(hex, 'hex') }] as const),
  ...TEXTS.map((oid) => [oid, { text: Buffer.from(STARS), binary: Buffer.from(STARS) }] as const),
  ...[...ARRAYS].map(([oid, element]) => [oid, { text: Buffer.from('{}'), binary: emptyArray(element) }] as const),
])

/** No dimensions, no NULLs, the element type (`array_send`). */
function emptyArray(element: number): Buffer {
  const bytes = Buffer.alloc(12)
  bytes.writeUInt32BE(element, 8)
  return bytes
}

/** The stand-in for a value of this type; null, which is SQL NULL, for a type whose values are not known here. */
export function placeholder(typeOid: number, format: Format): Buffer | null {
  const found = PLACEHOLDERS.get(typeOid)
  if (!found) return null
  return format === 1 ? found.binary : found.text
}

/** The same as text that a target reads as a value of the type, whatever its settings; has no quote and no backslash. */
export function placeholderText(typeOid: number): string | undefined {
  if (typeOid === MONEY) return '0'
  if (typeOid === BYTEA) return ''
  return placeholder(typeOid, 0)?.toString('utf8')
}

/** The types that have a stand-in. */
export function typesWithPlaceholder(): readonly number[] {
  return [...PLACEHOLDERS.keys()]
}
