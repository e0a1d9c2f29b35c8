import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Operation, Touch } from '../gateway/domain.ts'
import { bot, facts, operation, policyOf, touch } from './policy-scene.ts'

const READ = '@id("read") permit (principal, action in Action::"read", resource);'
const WRITE = '@id("write") permit (principal, action in Action::"write", resource);'
const SMALL =
  '@id("small") forbid (principal, action in Action::"write", resource) unless { context has rows_estimate && context.rows_estimate <= 10 };'
const LARGE =
  '@id("large") forbid (principal, action == Action::"sql.delete", resource) when { context has rows_estimate && context.rows_estimate > 10 };'
const FEW =
  '@id("few") permit (principal, action == Action::"sql.update", resource) when { context has rows_estimate && context.rows_estimate < 5 };'
const NEVER = '@id("never") forbid (principal, action == Action::"sql.delete", resource);'
const ELSEWHERE = LARGE.replace('resource)', 'resource in Target::"billing")')

const [select, update, del] = ['select', 'update', 'delete'].map((verb) =>
  touch(`sql.${verb}`, 'orders/public.users'),
) as [Touch, Touch, Touch]

function withRows(of: Touch, rows: number): Touch {
  return { ...of, facts: facts({ own: { ...of.facts.own, rows_estimate: rows } }) }
}

function undecided(text: string, asked: Operation): readonly string[] {
  const policy = policyOf(text)
  return policy.undecided(asked, policy.decide(bot, asked))
}

const CASES: readonly (readonly [what: string, text: string, asked: Operation, rules: readonly string[]])[] = [
  ['nothing where no policy reads an optional fact', READ + WRITE + NEVER, operation(update), []],
  ['nothing where those that do are about other actions', READ + WRITE + LARGE, operation(select, update), []],
  ['nothing where those that do are about another target', WRITE + ELSEWHERE, operation(del), []],
  ['nothing where it is forbidden anyway', WRITE + LARGE + NEVER, operation(del), []],
  ['nothing where it is permitted by nothing, and could not be', READ + LARGE, operation(del), []],
  ['nothing once the fact is known', WRITE + LARGE, operation(withRows(del, 3)), []],
  ['a forbid that could apply', WRITE + LARGE, operation(del), ['large']],
  ['a forbid that might not apply', WRITE + SMALL, operation(update), ['small']],
  ['a forbid of any of the touches', READ + WRITE + LARGE, operation(select, del), ['large']],
  ['a permit that could apply', FEW, operation(update), ['few']],
  [
    'a permit beside one that holds',
    WRITE.replace('permit', '@hold("group:dba") permit') + FEW,
    operation(update),
    ['few'],
  ],
  ['all that could apply', WRITE + SMALL + LARGE, operation(del), ['small', 'large']],
]

describe('what is undecided until the rows are estimated', () => {
  for (const [what, text, asked, rules] of CASES) {
    it(`is ${what}`, () => assert.deepEqual(undecided(text, asked), rules))
  }

  it('is decided by the estimate, or denied without one', () => {
    const policy = policyOf(WRITE + SMALL)
    const verdict = (of: Touch): string => policy.decide(bot, operation(of)).verdict
    assert.deepEqual([update, withRows(update, 10), withRows(update, 11)].map(verdict), ['deny', 'allow', 'deny'])
  })
})
