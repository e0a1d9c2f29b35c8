import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Refusal } from './gateway/domain.ts'
import type { Session } from './gateway/session.ts'
import type { InForce } from './in-force.ts'
import { createReview } from './review.ts'
import type { OpenTarget } from './targets.ts'

const TARGET = {
  config: { settings: { sensitive: { pii: ['public.people.email'] }, detect: [] } },
  target: { name: 'orders', resource: { type: 'Target', id: 'orders' }, classes: ['pii'] },
} as unknown as OpenTarget

type Reviewed = { readonly session: Session; readonly ended: Refusal[] }

function sessionOf(subject: string): Reviewed {
  const ended: Refusal[] = []
  const identity = { kind: 'User', provider: 'local', subject, groups: [], expiresAt: Infinity }
  const opening = { id: `ses_${subject}`, identity, target: 'orders', hidden: ['pii'] }
  const session = { opening, stop: (reason: Refusal) => ended.push(reason) } as unknown as Session
  return { session, ended }
}

/** Of `ann` policy cannot tell anything any more; `bob` may see by now what is hidden, `eve` may not. */
function review(sessions: readonly Reviewed[], warnings: string[]): void {
  const unmasked = ({ subject }: { readonly subject: string }): readonly string[] => {
    if (subject === 'ann') throw new Error('the engine is gone')
    return subject === 'bob' ? ['pii'] : []
  }
  const inForce = { config: { identity: [] }, policy: { unmasked } } as unknown as InForce
  const live = new Map(sessions.map(({ session }) => [session.opening.id, session]))
  const registry = { find: () => TARGET, madeFrom: () => TARGET.config }
  const reviewing = createReview({
    live,
    inForce: () => inForce,
    registry,
    warn: (line) => void warnings.push(line),
  })
  for (const { session } of sessions) reviewing.opened(session, TARGET.target, inForce)
  assert.deepEqual(
    sessions.flatMap(({ ended }) => ended),
    [],
  )
  reviewing.changed()
}

describe('the review of open sessions after a change', () => {
  it('ends who can no longer be judged, says so, and judges the others all the same', () => {
    const [ann, bob, eve] = [sessionOf('ann'), sessionOf('bob'), sessionOf('eve')]
    const warnings: string[] = []
    review([ann, bob, eve], warnings)
    assert.deepEqual(
      [ann, bob, eve].map((one) => one.ended.map(({ code }) => code)),
      [['unavailable'], ['grant'], []],
    )
    assert.equal(warnings.length, 1)
    assert.match(warnings[0]!, /^session ses_ann is ended, .*the engine is gone$/)
  })
})
