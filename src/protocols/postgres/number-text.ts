const INT8 = 20
const FLOAT8 = 701
const NUMERIC = 1700
/** More base-10000 digits than any number of 19 digits has before its point. */
const LONGEST = 6

/** The whole part of a binary int8, float8, money or numeric in decimal digits; empty when it is not one of a sane size. */
export function numberText(typeOid: number, value: Buffer): string {
  if (typeOid === NUMERIC) return numericText(value)
  if (value.length !== 8) return ''
  if (typeOid === FLOAT8) return floatText(value.readDoubleBE(0))
  const whole = value.readBigInt64BE(0)
  return String(typeOid === INT8 || whole >= 0n ? whole : -whole)
}

function floatText(value: number): string {
  return Math.abs(value) < 1e19 ? String(BigInt(Math.trunc(value))) : ''
}

/** Int16 digits, weight, sign and scale, then base-10000 digits, the first worth 10000^weight (`numeric_send`). */
function numericText(value: Buffer): string {
  if (value.length < 8) return ''
  const stored = Math.min(value.readUInt16BE(0), (value.length - 8) >> 1)
  const wholeDigits = value.readInt16BE(2) + 1
  if (wholeDigits < 1 || wholeDigits > LONGEST) return ''
  const groups = Array.from({ length: wholeDigits }, (_, index) =>
    String(index < stored ? value.readUInt16BE(8 + 2 * index) : 0).padStart(4, '0'),
  )
  return groups.join('').replace(/^0+/, '')
}
