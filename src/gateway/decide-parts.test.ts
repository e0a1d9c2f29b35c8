import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { AT_ONCE, decideParts } from './decide-parts.ts'
import type { Decision, Operation, Touch } from './domain.ts'
import { refuse } from './refusals.ts'
import type { Session } from './session.ts'

const touches = Array.from({ length: 1000 }, (_, place) => ({ action: 'sql.lock', resource: { id: `t${place}` } }))
const operation = { touches } as unknown as Operation

/** Asks `decide` under policies `p1`; the sizes it was asked with. */
function sessionOf(decide: (touches: readonly Touch[]) => Decision): { session: Session; sizes: (number | 'turn')[] } {
  const sizes: (number | 'turn')[] = []
  const policy = {
    hash: 'p1',
    decide: (_: unknown, { touches }: Operation) => {
      sizes.push(touches.length)
      return decide(touches)
    },
  }
  const later = Date.now() + 60_000
  const core = {
    policy: () => policy,
    clock: { now: () => Date.now() },
    turns: { next: async () => void sizes.push('turn') },
  }
  return { session: { core, opening: { expiresAt: later, identity: {} } } as unknown as Session, sizes }
}

const allow: Decision = { verdict: 'allow', rules: ['lock'], policy: 'p1' }
const named = (touches: readonly Touch[], id: string): boolean => touches.some(({ resource }) => resource.id === id)

describe('an operation that asks much of policy', () => {
  it('is allowed when every part is, with a turn for others before each', async () => {
    const seen = new Set<Touch>()
    const { session, sizes } = sessionOf((touches) => {
      touches.forEach((touch) => seen.add(touch))
      return named(touches, 't999') ? { ...allow, rules: ['lock', 'last'] } : allow
    })
    assert.deepEqual(await decideParts(session, operation), { ...allow, rules: ['lock', 'last'] })
    assert.equal(seen.size, touches.length)
    assert.deepEqual(sizes, ['turn', AT_ONCE, 'turn', AT_ONCE, 'turn', AT_ONCE, 'turn', 1000 - 3 * AT_ONCE])
  })

  it('is denied as soon as a part is', async () => {
    const denial: Decision = { verdict: 'deny', rules: [], policy: 'p1', refusal: refuse('denied', 'not this one') }
    const { session, sizes } = sessionOf((touches) => (named(touches, 't300') ? denial : allow))
    assert.equal(await decideParts(session, operation), denial)
    assert.equal(sizes.length, 4)
  })

  it('is decided as a whole where a part is held, or the policies change under way', async () => {
    const hold = { ...allow, verdict: 'hold', groups: ['dba'] } as unknown as Decision
    for (const part of [hold, { ...allow, policy: 'p2' } as Decision]) {
      const whole: Decision = { ...allow, rules: ['the whole'] }
      const { session } = sessionOf((asked) => {
        if (asked.length === touches.length) return whole
        return named(asked, 't300') ? part : allow
      })
      assert.equal(await decideParts(session, operation), whole)
    }
  })
})
