import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import * as fc from 'fast-check'
import { dataRow, frame, join, rowDescription, u16, u32, val } from '../../../test/frames-builder.ts'
import type { FieldSpec } from '../../../test/frames-builder.ts'
import { Fault } from '../../gateway/fault.ts'
import { createMasker } from '../../mask/mask.ts'
import type { Frame } from './frames.ts'
import { decodeDataRow, decodeRowDescription } from './messages-target.ts'
import { maskDataRow, planRow, withFormats } from './rows.ts'
import type { ClassesOf, RowPlan } from './rows.ts'

const isProtocolFault = (error: unknown): boolean => error instanceof Fault && error.code === 'protocol'
const asFrame = (bytes: Buffer): Frame => ({ type: bytes[0]!, bytes })
const CUSTOMERS = 16400
/** Column 1 is ordinary, column 2 hidden; every other relation is unknown. */
const classesOf: ClassesOf = (table, column) =>
  table === CUSTOMERS && column > 0 ? (column === 2 ? ['pii'] : []) : undefined
const hiding = createMasker({ hidden: ['pii'], detect: [] })
const detecting = createMasker({ hidden: ['pii'], detect: ['credit_card', 'email'] })
const CARD = '4111111111111111'

function plan(masker: typeof hiding, ...fields: readonly FieldSpec[]): RowPlan {
  return planRow(decodeRowDescription(asFrame(rowDescription(...fields))), classesOf, masker)
}

/** One value of an expression of this type, as it is shown; text unless `format` says otherwise. */
function shown(type: number, value: Buffer | string, format = 0): string | null {
  const row = dataRow(value)
  const masked = maskDataRow(asFrame(row), plan(detecting, { type, format }), detecting)
  const [found] = decodeDataRow(asFrame(masked))
  return found ? (format === 0 ? found.toString() : found.toString('latin1')) : null
}

describe('planRow', () => {
  it('passes rows in which nothing is to be done', () => {
    const fields = [{ table: CUSTOMERS, column: 1 }, {}]
    assert.equal(plan(hiding, ...fields).passes, true)
    const row = dataRow('1', null)
    assert.equal(maskDataRow(asFrame(row), plan(hiding, ...fields), hiding), row)
  })

  it('passes nothing that is no row of these columns', () => {
    const fields = [{ table: CUSTOMERS, column: 1 }, {}]
    const left = Buffer.concat([dataRow('1', null), Buffer.of(0)])
    for (const row of [dataRow('1'), dataRow('1', '2', '3'), dataRow('1', '2').subarray(0, -1), left])
      assert.throws(() => maskDataRow(asFrame(row), plan(hiding, ...fields), hiding), { code: 'protocol' })
  })

  it('has work with a hidden column, an unknown origin, and text to search', () => {
    assert.equal(plan(hiding, { table: CUSTOMERS, column: 2 }).passes, false)
    assert.equal(plan(hiding, { table: 99999, column: 1 }).passes, false)
    assert.equal(plan(hiding, { table: CUSTOMERS, column: 0 }).passes, false)
    assert.equal(plan(detecting, {}).passes, false)
    assert.equal(plan(detecting, { type: 23 }, { type: 1184 }, { type: 2950 }).passes, true)
  })
})

describe('withFormats', () => {
  const fields = decodeRowDescription(asFrame(rowDescription({}, {})))
  const formats = (codes: readonly (0 | 1)[]) => withFormats(fields, codes).map((field) => field.format)

  it('takes none, one for all, or one for each', () => {
    assert.deepEqual(formats([]), [0, 0])
    assert.deepEqual(formats([1]), [1, 1])
    assert.deepEqual(formats([0, 1]), [0, 1])
    assert.throws(() => formats([0, 1, 0]), isProtocolFault)
  })
})

describe('maskDataRow', () => {
  it('replaces a hidden value by one of its type and keeps the others', () => {
    const fields = [{ table: CUSTOMERS, column: 1 }, { table: CUSTOMERS, column: 2 }, {}]
    const masked = maskDataRow(asFrame(dataRow('1', 'Ada', 'x')), plan(hiding, ...fields), hiding)
    assert.deepEqual(masked, dataRow('1', '***', 'x'))
    const numeric = plan(hiding, { table: CUSTOMERS, column: 2, type: 23, format: 1 })
    assert.deepEqual(maskDataRow(asFrame(dataRow(u32(77))), numeric, hiding), dataRow(u32(0)))
  })

  it('shows NULL instead of a hidden value of a type that it does not know', () => {
    const enumeration = plan(hiding, { table: CUSTOMERS, column: 2, type: 16500 })
    assert.deepEqual(maskDataRow(asFrame(dataRow('gold')), enumeration, hiding), dataRow(null))
  })

  it('replaces an empty value and leaves NULL', () => {
    const hidden = plan(hiding, { table: CUSTOMERS, column: 2 }, { table: CUSTOMERS, column: 2 })
    assert.deepEqual(maskDataRow(asFrame(dataRow('', null)), hidden, hiding), dataRow('***', null))
  })

  it('gives back the very bytes when nothing is found', () => {
    const row = dataRow('nobody', null, '')
    assert.equal(maskDataRow(asFrame(row), plan(detecting, {}, {}, {}), detecting), row)
  })

  it('shows nothing of a hidden column, whatever the row', () => {
    const value = fc.option(fc.uint8Array({ maxLength: 30 }).map((bytes) => Buffer.from(bytes)))
    fc.assert(
      fc.property(value, value, value, (first, secret, last) => {
        const fields = [{ table: CUSTOMERS, column: 1 }, { table: CUSTOMERS, column: 2 }, {}]
        const masked = maskDataRow(asFrame(dataRow(first, secret, last)), plan(hiding, ...fields), hiding)
        assert.deepEqual(masked, dataRow(first, secret === null ? null : '***', last))
      }),
    )
  })

  it('looks into a row only where its bytes have something suspect', () => {
    const searched = plan(detecting, {}, { type: 3802, format: 1 })
    assert.deepEqual([searched.passes, searched.searches], [false, true])
    const looked: string[] = []
    const text = (value: Uint8Array) => {
      looked.push(Buffer.from(value).toString())
      return detecting.text(value)
    }
    const row = dataRow('nobody', '\x01{}')
    assert.equal(maskDataRow(asFrame(row), searched, { ...detecting, text }), row)
    maskDataRow(asFrame(dataRow('no@body', '\x01{}')), searched, { ...detecting, text })
    assert.deepEqual(looked, ['no@body', '{}'])
    assert.equal(plan(detecting, {}, { type: 1700, format: 1 }).searches, false)
    assert.equal(plan(detecting, {}, { table: CUSTOMERS, column: 2 }).searches, false)
  })

  it('refuses rows that do not match what was described, or themselves', () => {
    const one = plan(hiding, { table: CUSTOMERS, column: 2 })
    const broken = [
      dataRow(),
      dataRow('a', 'b'),
      frame('D', u16(1)),
      frame('D', u16(1), u32(2), Buffer.from('a')),
      frame('D', u16(1), u32(-2)),
      frame('D', u16(1), val('a'), Buffer.from('x')),
      frame('D', u16(1), u32(0x7fffffff)),
      frame('D'),
    ]
    for (const row of broken)
      assert.throws(() => maskDataRow(asFrame(row), one, hiding), isProtocolFault, row.toString('hex'))
  })

  it('throws nothing but a protocol fault for any row', () => {
    const fields = [{}, { type: 3802, format: 1 }, { type: 1009, format: 1 }, { type: 1700, format: 1 }]
    const bytes = fc.uint8Array({ maxLength: 40 }).map((all) => Buffer.from(all))
    fc.assert(
      fc.property(bytes, fc.array(bytes, { minLength: 4, maxLength: 4 }), (body, values) => {
        maskDataRow(asFrame(dataRow(...values)), plan(detecting, ...fields), detecting)
        try {
          maskDataRow(asFrame(frame('D', u16(4), body)), plan(detecting, ...fields), detecting)
        } catch (error) {
          assert.ok(isProtocolFault(error), String(error))
        }
      }),
    )
  })
})

describe('detection in values', () => {
  it('replaces what it finds in text, in both formats', () => {
    for (const type of [19, 25, 142, 1042, 1043]) {
      assert.equal(shown(type, `to ada@example.com, ${CARD}`), 'to ***, ***')
      assert.equal(shown(type, `to ada@example.com, ${CARD}`, 1), 'to ***, ***')
    }
  })

  it('leaves JSON that can be read', () => {
    for (const type of [114, 3802]) {
      assert.equal(shown(type, '{"e":"ada@example.com"}'), '{"e":"***"}')
      assert.equal(shown(type, `{"n":${CARD}}`), '"***"')
    }
    assert.equal(shown(114, '{"e":"ada@example.com"}', 1), '{"e":"***"}')
    assert.equal(shown(3802, '\x01{"e":"ada@example.com"}', 1), '\x01{"e":"***"}')
    assert.equal(shown(3802, `\x01{"n":${CARD}}`, 1), '\x01"***"')
    assert.equal(shown(3802, '\x01{"n":1}', 1), '\x01{"n":1}')
  })

  it('shows 0 instead of a number that is a card number', () => {
    const int8 = Buffer.alloc(8)
    int8.writeBigInt64BE(BigInt(CARD))
    const float8 = Buffer.alloc(8)
    float8.writeDoubleBE(378282246310005)
    const numeric = join(u16(4), u16(3), u16(0), u16(0), u16(4111), u16(1111), u16(1111), u16(1111))
    assert.equal(shown(20, CARD), '0')
    assert.equal(shown(1700, `${CARD}.00`), '0')
    assert.equal(shown(701, '378282246310005'), '0')
    assert.equal(shown(20, int8, 1), '\0'.repeat(8))
    assert.equal(shown(701, float8, 1), '\0'.repeat(8))
    assert.equal(shown(1700, numeric, 1), '\0'.repeat(8))
    assert.equal(shown(20, u32(1), 1), '\0\0\0\x01')
    assert.equal(shown(20, '4111111111111112'), '4111111111111112')
  })

  it('searches arrays', () => {
    assert.equal(shown(1009, `{x,ada@example.com,"a ${CARD}"}`), '{x,***,"a ***"}')
    assert.equal(shown(1016, `{1,${CARD}}`), '{}')
    assert.equal(shown(199, `{"{\\"n\\": ${CARD}}"}`), '{}')
    const empty = join(u32(0), u32(0), u32(25)).toString('latin1')
    assert.equal(shown(1009, array(25, 'x', `${CARD}${' '.repeat(36)}`), 1), empty)
    assert.equal(shown(1009, array(25, 'x', 'y'), 1), array(25, 'x', 'y').toString('latin1'))
  })

  it('searches rows and values of types that it does not know', () => {
    const composite = join(u32(2), u32(25), val('x'), u32(25), val(`${CARD}${' '.repeat(36)}`))
    assert.equal(shown(16500, composite, 1), null)
    assert.equal(shown(2249, join(u32(1), u32(1009), val(array(25, 'ada@example.com'))), 1), null)
    assert.equal(shown(16500, 'ada@example.com', 1), null)
    assert.equal(shown(16500, 'gold', 1), 'gold')
    assert.equal(shown(16500, 'ada@example.com'), '***')
    assert.equal(shown(2249, '(1,ada@example.com)'), '(1,***)')
  })

  it('shows nothing of an array nested deeper than anyone nests', () => {
    let value = array(25, 'x')
    for (let depth = 0; depth < 9; depth++) value = join(u32(1), u32(16500), val(value))
    assert.equal(shown(16500, value, 1), null)
  })
})

function array(type: number, ...values: readonly string[]): Buffer {
  return join(u32(1), u32(0), u32(type), u32(values.length), u32(1), ...values.map(val))
}
