import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import * as fc from 'fast-check'
import { encodeMembers } from './encode-entry.ts'
import type { Answered, Entry, OperationDecided } from './entry.ts'

const text = fc.oneof(
  fc.string(),
  fc.string({ unit: 'binary' }),
  fc.constantFrom('"', '\\', '\u007f', '\ud800', '\u2028'),
)
const texts = fc.array(text, { maxLength: 3 })
const optional = <T>(value: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> => fc.option(value, { nil: undefined })
const place = { session: text, target: text, identity: text }

/** Every member that the type has: one that is added fails here until it is written. */
const operation = fc.record({
  type: fc.constant('operation'),
  operation: text,
  ...place,
  stage: fc.constantFrom('prepare', 'execute'),
  text,
  sent: optional(text),
  parameters: optional(fc.array(fc.option(text), { maxLength: 3 })),
  digest: text,
  touches: texts,
  effect: fc.constantFrom('none', 'revocable', 'final'),
  measured: optional(fc.record({ rows_estimate: fc.nat() })),
  decision: fc.constantFrom('allow', 'hold', 'deny'),
  rules: texts,
  policy: text,
  refusal: optional(fc.record({ code: text, message: text })),
  approval: optional(fc.record({ id: text, by: texts })),
} satisfies Record<keyof OperationDecided, fc.Arbitrary<unknown>>)

const answer = fc.record({
  type: fc.constant('answer'),
  ...place,
  operation: optional(text),
  size: fc.nat(),
  bytes: optional(text),
  digest: optional(text),
  outcome: optional(fc.record({ status: text, rows: optional(fc.nat()), code: optional(text) })),
} satisfies Record<keyof Answered, fc.Arbitrary<unknown>>)

describe('encodeMembers', () => {
  it('gives what JSON.stringify gives, for the two types that it puts together itself', () => {
    fc.assert(
      fc.property(fc.oneof(operation, answer), (entry) => {
        assert.deepEqual(JSON.parse(`{${encodeMembers(entry as Entry)}}`), JSON.parse(JSON.stringify(entry)))
        assert.equal(`{${encodeMembers(entry as Entry)}}`.length, JSON.stringify(entry).length)
      }),
      { numRuns: 2_000 },
    )
  })

  it('puts the type first', () => {
    const members = encodeMembers({ data: 1, type: 'log.opened' } as unknown as Entry)
    assert.equal(members, '"type":"log.opened","data":1')
  })
})
