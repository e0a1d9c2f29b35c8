import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { error, frame, str, u16, u32 } from '../../../test/frames-builder.ts'
import { createMasker } from '../../mask/mask.ts'
import { AnswerPart, type Egress } from './egress.ts'
import { FrameReader } from './frames.ts'
import { TARGET_LIMITS } from './limits.ts'
import { decodeErrorFields } from './messages-target.ts'

const masker = createMasker({ hidden: ['pii'], detect: ['email', 'private_key'] })
const plans: Egress['plans'] = { of: (_fields, _hides, make) => make() }
const withholding: Egress = { plans, classesOf: () => [], withholdsTexts: true, withholdsPayloads: true }
const searching: Egress = { plans, classesOf: () => [], withholdsTexts: false, withholdsPayloads: false }

function masked(bytes: Buffer, egress: Egress): Buffer {
  const part = new AnswerPart(
    [{ type: bytes[0]!, bytes }],
    { inline: false, described: {}, copies: [], hides: [], statement: 0 },
    egress,
  )
  return Buffer.from(part.mask(masker))
}

function fieldsOf(bytes: Buffer): Readonly<Record<string, string>> {
  return Object.fromEntries(decodeErrorFields({ type: bytes[0]!, bytes }))
}

describe('egress', () => {
  it('keeps the codes and places of an error whose text it withholds', () => {
    const fields = { S: 'ERREUR', V: 'ERROR', C: '22P02', P: '12', F: 'numutils.c', L: '71', R: 'pg_strtoint32' }
    const { M, ...kept } = fieldsOf(masked(error({ ...fields, M: 'invalid: "ada@example.com"' }), withholding))
    assert.deepEqual(kept, fields)
    assert.match(M!, /^The target answered 22P02; its text is withheld/)
  })

  it('takes no field for a code or a place that does not look like one', () => {
    const text = 'the address ada@example.com'
    for (const code of ['S', 'V', 'C', 'P', 'F', 'L', 'R']) {
      assert.equal(fieldsOf(masked(error({ [code]: text, M: 'm' }), withholding))[code], undefined)
      assert.doesNotMatch(fieldsOf(masked(error({ [code]: text, M: 'm' }), searching))[code]!, /ada@/)
    }
  })

  it('searches the names of objects, which stay', () => {
    const fields = fieldsOf(
      masked(error({ C: '23505', t: 'customers', d: 'about ada@example.com', M: 'm' }), withholding),
    )
    assert.equal(fields.t, 'customers')
    assert.doesNotMatch(fields.d!, /ada@/)
  })

  it('lets no description pass that is none, whatever it answers', () => {
    const malformed = frame('T', u16(0), str('ada@example.com'))
    assert.throws(() => masked(malformed, searching), /malformed RowDescription/)
  })

  it('makes whole messages of notifications in which something is found', () => {
    const key = '-----BEGIN PRIVATE KEY-----\nMC4C'
    for (const [pid, channel, payload, shown] of [
      [1, 'news', 'to ada@example.com', 'to ***'],
      [1, 'news', `key ${key}`, 'key ***'],
      [0x4140, 'example.com', 'nothing', 'nothing'],
    ] as const)
      assert.deepEqual(
        masked(frame('A', u32(pid), str(channel), str(payload)), searching),
        frame('A', u32(pid), str(channel), str(shown)),
      )
  })

  it('lets no malformed message pass', () => {
    const malformed = [
      frame('A', u32(1), str('news')),
      frame('A', u32(1), str('news'), str('payload'), str('more')),
      frame('S', str('TimeZone')),
      frame('C', Buffer.from('SELECT 1')),
      frame('t', u16(2), u32(25)),
    ]
    for (const bytes of malformed) assert.throws(() => masked(bytes, searching), { code: 'protocol' })
  })
})

describe('the limits of a target', () => {
  it('leave no place for anything in messages that have no content', () => {
    for (const letter of ['1', '2', '3', 'I', 'n', 's']) {
      assert.equal(new FrameReader(TARGET_LIMITS).push(frame(letter)).length, 1)
      assert.throws(() => new FrameReader(TARGET_LIMITS).push(frame(letter, Buffer.of(0))), { code: 'protocol' })
    }
  })
})
