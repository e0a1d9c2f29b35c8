import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import * as fc from 'fast-check'
import type { Hold, Identity } from '../gateway/domain.ts'
import { agent, ann, bob, eve, hold, identity } from './fixtures.ts'
import { identityId, personKey } from '../gateway/identity.ts'
import { groupsOf, objectionToVote, tally, type Ballot, type Cast } from './voting.ts'

const ballot = (more: Partial<Ballot> = {}): Ballot => ({
  state: 'pending',
  hold: hold(),
  requester: agent,
  casts: [],
  ...more,
})

const cast = (voter: Identity, vote: 'approve' | 'reject' = 'approve', of: Hold = hold()): Cast => {
  const person = personKey(voter)
  return { by: identityId(voter), vote, at: 1, groups: groupsOf(of, voter), ...(person !== undefined && { person }) }
}

describe('who may vote', () => {
  it('lets a member of a group of the hold vote', () => {
    assert.equal(objectionToVote(ballot(), bob), undefined)
  })

  const refused: readonly (readonly [string, Identity])[] = [
    ['the agent that asked', agent],
    ['any agent', identity({ kind: 'Agent', subject: 'other', groups: ['dba'] })],
    ['any workload', identity({ kind: 'Workload', subject: 'ci', groups: ['dba'] })],
    ['a person on behalf of another', { ...bob, onBehalfOf: eve }],
    ['the person the agent acts for', ann],
    [
      'the same human under another provider',
      { ...ann, provider: 'google', subject: '17', person: ' ANN@Example.com ' },
    ],
    ['the same human in compatibility characters', { ...bob, subject: 'x', person: 'ａnn@example.com' }],
    ['someone in none of the groups', eve],
    ['someone in no group at all', identity({ subject: 'zoe' })],
  ]
  for (const [who, voter] of refused) {
    it(`refuses ${who}`, () => {
      assert.equal(objectionToVote(ballot(), voter)?.status, 403)
    })
  }

  it('refuses someone further up the chain', () => {
    const deep = identity({ kind: 'Agent', subject: 'outer', onBehalfOf: agent })
    assert.equal(objectionToVote(ballot({ requester: deep }), ann)?.status, 403)
  })

  it('does not take two people without a person claim for one', () => {
    const requester = identity({ subject: 'x' })
    assert.equal(objectionToVote(ballot({ requester }), identity({ subject: 'y', groups: ['dba'] })), undefined)
    const blank = identity({ subject: 'y', groups: ['dba'], person: ' ' })
    assert.equal(objectionToVote(ballot({ requester: { ...requester, person: '' } }), blank), undefined)
  })

  it('refuses a second vote of the same account and of the same human', () => {
    const casts = [cast(bob)]
    const other = { ...bob, provider: 'google', subject: '42', person: 'BOB@example.com' }
    assert.equal(objectionToVote(ballot({ casts }), bob)?.status, 409)
    assert.equal(objectionToVote(ballot({ casts }), { ...bob, person: 'someone@example.com' })?.status, 409)
    assert.equal(objectionToVote(ballot({ casts }), other)?.status, 409)
  })

  it('refuses a vote on what is settled, and says with a code of its own that it expired', () => {
    for (const state of ['approved', 'rejected', 'withdrawn', 'spent', 'expired'] as const) {
      const objection = objectionToVote(ballot({ state }), bob)
      assert.equal(objection?.status, 409, state)
      assert.equal(objection?.code === 'approval_expired', state === 'expired')
    }
  })

  it('lets nobody vote where the hold names no group', () => {
    assert.equal(objectionToVote(ballot({ hold: hold({ groups: [] }) }), bob)?.status, 403)
  })
})

describe('what the votes come to', () => {
  const carl = identity({ subject: 'carl', groups: ['dba'] })
  const sue = identity({ subject: 'sue', groups: ['security'] })

  it('needs a member of every group', () => {
    const both = hold({ groups: ['dba', 'security'] })
    assert.equal(tally(both, [cast(carl, 'approve', both)]), 'pending')
    assert.equal(tally(both, [cast(carl, 'approve', both), cast(sue, 'approve', both)]), 'approved')
  })

  it('lets one human stand for several groups, but counts it once', () => {
    const both = hold({ groups: ['dba', 'security'], quorum: 2 })
    assert.equal(tally({ ...both, quorum: 1 }, [cast(bob, 'approve', both)]), 'approved')
    assert.equal(tally(both, [cast(bob, 'approve', both)]), 'pending')
    assert.equal(tally(both, [cast(bob, 'approve', both), cast(carl, 'approve', both)]), 'approved')
  })

  it('takes the quorum as "at least"', () => {
    assert.equal(tally(hold({ quorum: 1 }), [cast(carl), cast(bob)]), 'approved')
  })

  it('is rejected by one, however many approve', () => {
    assert.equal(tally(hold(), [cast(carl), cast(bob, 'reject')]), 'rejected')
  })

  it('is never approved by no vote, nor with a quorum that is no number', () => {
    assert.equal(tally(hold({ groups: [], quorum: 0 }), []), 'pending')
    assert.equal(tally(hold({ quorum: Number.NaN }), [cast(bob)]), 'pending')
  })
})

describe('any sequence of votes', () => {
  const groups = fc.subarray(['dba', 'security', 'sales'])
  const anyone = fc.record({
    kind: fc.constantFrom<Identity['kind']>('User', 'Agent', 'Workload'),
    provider: fc.constantFrom('corp', 'google'),
    subject: fc.constantFrom('ann', 'bob', 'bot', '17'),
    person: fc.option(fc.constantFrom('ann@example.com', 'ANN@EXAMPLE.COM ', 'bob@example.com', ''), {
      nil: undefined,
    }),
    groups,
  })
  const unfit = anyone
    .filter(
      (who) =>
        who.kind !== 'User' ||
        (who.provider === 'corp' && who.subject === 'ann') ||
        who.person?.trim().toLowerCase() === 'ann@example.com',
    )
    .map((who) => identity(who as Partial<Identity>))

  const play = (of: Hold, votes: readonly (readonly [Identity, 'approve' | 'reject'])[]): readonly Cast[] => {
    const casts: Cast[] = []
    for (const [voter, vote] of votes) {
      const state = casts.length === 0 ? 'pending' : tally(of, casts)
      if (objectionToVote(ballot({ hold: of, casts, state }), voter) === undefined) casts.push(cast(voter, vote, of))
    }
    return casts
  }
  const vote = fc.constantFrom<'approve' | 'reject'>('approve', 'reject')
  const holds = fc.record({
    groups: fc.subarray(['dba', 'security'], { minLength: 1 }),
    quorum: fc.integer({ min: 1, max: 3 }),
  })

  it('settles nothing when only the requester, its chain, its human, agents and workloads vote', () => {
    fc.assert(
      fc.property(holds, fc.array(fc.tuple(unfit, vote), { maxLength: 12 }), (of, votes) => {
        assert.deepEqual(play(hold(of), votes), [])
      }),
    )
  })

  it('approves only with enough distinct humans and a member of every group', () => {
    const all = anyone.map((who) => identity(who as Partial<Identity>))
    fc.assert(
      fc.property(holds, fc.array(fc.tuple(all, vote), { maxLength: 12 }), (of, votes) => {
        const casts = play(hold(of), votes)
        assert.equal(new Set(casts.map((cast) => cast.by)).size, casts.length)
        const people = casts.flatMap((cast) => cast.person ?? [])
        assert.equal(new Set(people).size, people.length)
        if (tally(hold(of), casts) !== 'approved') return
        assert.ok(casts.length >= of.quorum && casts.every((cast) => cast.vote === 'approve'))
        for (const group of of.groups) assert.ok(casts.some((cast) => cast.groups.includes(group)))
      }),
    )
  })
})
