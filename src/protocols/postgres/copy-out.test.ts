import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import * as fc from 'fast-check'
import { Fault } from '../../gateway/fault.ts'
import { createMasker } from '../../mask/mask.ts'
import type { CopyForm } from '../../sql/reader.ts'
import { frame, u16, u8 } from '../../../test/frames-builder.ts'
import { CopyOut } from './copy-out.ts'
import { FrameReader, type Frame } from './frames.ts'
import { TARGET_LIMITS } from './limits.ts'

const TEXT: CopyForm = { direction: 'out', format: 'text', delimiter: '\t', quote: '"', escape: '"' }
const CSV: CopyForm = { ...TEXT, format: 'csv', delimiter: ',' }
const BINARY: CopyForm = { ...TEXT, format: 'binary' }

const masker = createMasker({ hidden: [], detect: ['credit_card', 'email'] })
const blind = createMasker({ hidden: ['pii'], detect: [] })
const CARD = '4111-1111-1111-1111'

const framesOf = (bytes: Buffer): Frame[] => new FrameReader(TARGET_LIMITS).push(bytes)
const data = (text: string | Buffer): Frame => framesOf(frame('d', Buffer.from(text)))[0]!
const response = (binary: boolean): Frame => framesOf(frame('H', u8(binary ? 1 : 0), u16(0)))[0]!
const start = (form: CopyForm): CopyOut => new CopyOut(form, response(form.format === 'binary'))
const contents = (bytes: Buffer): string =>
  framesOf(bytes)
    .map((each) => each.bytes.toString('utf8', 5))
    .join('')

/** What comes of these pieces, with the end. */
function shown(form: CopyForm, ...pieces: readonly (string | Buffer)[]): string {
  const copy = start(form)
  const answers = pieces.map((piece) => copy.data(data(piece), masker))
  return contents(Buffer.concat([...answers, copy.end(masker)]))
}

describe('rows of a COPY to the client', () => {
  it('are the very same bytes where nothing is found or nothing is searched', () => {
    const plain = data('1\tAda\t\\N\n')
    assert.equal(start(TEXT).data(plain, masker), plain.bytes)
    const mail = data('ada@example.com\n')
    assert.equal(start(TEXT).data(mail, blind), mail.bytes)
    const binary = data(Buffer.from('0001ffffffff', 'hex'))
    assert.equal(start(BINARY).data(binary, blind), binary.bytes)
  })

  for (const [form, row, expected] of [
    [TEXT, `1\tmail ada@example.com now\t${CARD}\n`, '1\tmail *** now\t***\n'],
    [TEXT, `a\\tada@example.com\\nb\\\\\n`, 'a\\t***\\nb\\\\\n'],
    [TEXT, 'a\\\\\tada@example.com\n', 'a\\\\\t***\n'],
    [{ ...TEXT, delimiter: '-' }, `1-4111\\-1111\\-1111\\-1111-2\n`, '1-***-2\n'],
    [{ ...TEXT, delimiter: '@' }, 'ada\\@example.com@x\n', '***@x\n'],
    [{ ...TEXT, delimiter: '*' }, `a*${CARD}*b\n`, 'a*\\*\\*\\**b\n'],
    [{ ...TEXT, delimiter: ' ' }, '4111 1111 1111 1111\n', '4111 1111 1111 1111\n'],
    [CSV, `1,"ada@example.com, ""A""",${CARD}\n`, '1,"***, ""A""","***"\n'],
    [CSV, `1,"line\nada@example.com\n",2\n`, '1,"line\n***\n",2\n'],
    [{ ...CSV, quote: '-' }, '1,-4111--1111--1111--1111-\n', '1,-***-\n'],
    [{ ...CSV, quote: '1', escape: '1' }, `1${CARD.replaceAll('-', '').replaceAll('1', '11')}1,2\n`, '1***1,2\n'],
    [{ ...CSV, escape: '\\' }, `"\\"ada@example.com\\\\",2\n`, '"\\"***\\\\",2\n'],
    [{ ...CSV, delimiter: '@' }, `"ada@example.com"@2\n`, '"***"@2\n'],
    [{ ...CSV, delimiter: '*' }, `${CARD}*2\n`, '"***"*2\n'],
  ] as const) {
    it(`are searched value by value: ${JSON.stringify(row)} (${form.format})`, () => {
      assert.equal(shown(form, row), expected)
    })
  }

  it('are searched whole, however the messages cut them', () => {
    const rows = Buffer.from(`1\tada@example.com\n2\t${CARD}\n3\té\n`)
    const csv = Buffer.from(`1,"ada@example.com, ""x\n"""\n2,${CARD}\n3,é\n`)
    fc.assert(
      fc.property(fc.array(fc.nat(60), { maxLength: 6 }), (cuts) => {
        for (const [form, bytes] of [[TEXT, rows], [CSV, csv]] as const) {
          const places = [0, ...cuts.filter((cut) => cut < bytes.length).toSorted((a, b) => a - b), bytes.length]
          const pieces = places.slice(1).map((place, index) => bytes.subarray(places[index], place))
          assert.equal(shown(form, ...pieces), shown(form, bytes))
        }
      }),
    ) // prettier-ignore
    assert.equal(shown(TEXT, rows), '1\t***\n2\t***\n3\té\n')
    assert.equal(shown(CSV, csv), '1,"***, ""x\n"""\n2,"***"\n3,é\n')
  })

  it('without a newline at the end are searched at the end', () => {
    assert.equal(shown(TEXT, '1\tada@exam', 'ple.com'), '1\t***')
  })

  it('never end and never begin otherwise than they were asked for: a Fault', () => {
    const endless = start(TEXT)
    const piece = data(Buffer.alloc(9 << 20, 'x'))
    endless.data(piece, masker)
    for (const wrong of [
      () => endless.data(piece, masker),
      () => start(BINARY).data(data('x'), masker),
      () => new CopyOut(undefined, response(false)),
      () => new CopyOut(TEXT, response(true)),
    ])
      assert.throws(wrong, Fault)
  })
})
