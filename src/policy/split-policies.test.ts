import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import * as fc from 'fast-check'
import { offsetIn, problemAt } from './problem.ts'
import { splitPolicies } from './split-policies.ts'

describe('splitPolicies', () => {
  it('ends a policy at its semicolon, not at one in a string or a comment', () => {
    const source =
      '// a; b\n@id("x;\\"y;") permit (principal, action, resource) // c;\n when { "//;" == ";" };\nforbid(x);'
    assert.deepEqual(
      splitPolicies(source).map(({ text }) => text.slice(0, 3) + text.slice(-3)),
      ['@id };', 'forx);'],
    )
  })

  it('keeps what follows the last semicolon', () => {
    assert.deepEqual(
      splitPolicies('permit(x);  forbid( // end').map(({ text }) => text),
      ['permit(x);', 'forbid('],
    )
  })

  it('finds nothing in a file of comments', () => {
    assert.deepEqual(splitPolicies('\uFEFF// permit(principal, action, resource);\n\n'), [])
  })

  it('keeps an unfinished string together with all that follows', () => {
    assert.equal(splitPolicies('@id("a; permit(x); permit(y);').length, 1)
  })

  it('says where each annotation stands, but not an @ in a string', () => {
    const [policy] = splitPolicies('  @ id("@hold") @wait("1s") permit(x);')
    assert.deepEqual(
      [...policy!.annotations],
      [
        ['id', 2],
        ['wait', 16],
      ],
    )
  })

  it('loses nothing but blanks and comments, at true offsets, whatever the text', () => {
    const piece = fc.constantFrom('permit', '"', '\\', ';', '//', '\n', ' ', '@id', 'é', '😀', '(', ')', '/', '@')
    fc.assert(
      fc.property(
        fc.array(piece).map((pieces) => pieces.join('')),
        (source) => {
          const policies = splitPolicies(source)
          const rest = policies.reduceRight((text, { offset, text: policy }) => {
            assert.equal(source.slice(offset, offset + policy.length), policy)
            return text.slice(0, offset) + text.slice(offset + policy.length)
          }, source)
          assert.match(rest, /^(?:\s|\/\/[^\n]*(?:\n|$))*$/)
        },
      ),
    )
  })
})

describe('problemAt', () => {
  const source = 'permit(x);\r\n"é😀" permit('
  const file = { path: 'p.cedar', source }

  it('counts lines and characters from one', () => {
    assert.deepEqual(problemAt(file, 0, 't'), { file: 'p.cedar', line: 1, column: 1, text: 't' })
    assert.deepEqual(problemAt(file, source.indexOf('permit('), 't').line, 1)
    const { line, column } = problemAt(file, source.lastIndexOf('permit('), 't')
    assert.deepEqual([line, column], [2, 6])
  })

  it("turns Cedar's bytes of one policy into an offset of the file", () => {
    const policy = splitPolicies(source)[1]!
    const bytes = Buffer.byteLength('"é😀" ')
    assert.equal(offsetIn(policy, bytes), source.lastIndexOf('permit('))
  })
})
