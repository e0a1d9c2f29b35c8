import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Touch } from '../../gateway/domain.ts'
import type { NameChange, Statement } from '../../sql/reader.ts'
import { MovingNames, type Departure } from './moving-names.ts'
import { senseOf } from './sense.ts'

const ANA = {}
const BEN = {}

describe('MovingNames', () => {
  it('tells everybody else of a change, up to the end of its transaction', () => {
    const moving = new MovingNames()
    const flight = fly(moving, changing(ANA, 'mine', moving))
    assert.deepEqual(namesOf(moving.others(BEN)), ['mine'])
    assert.deepEqual(moving.others(ANA), [])
    moving.settle(ANA)
    assert.deepEqual(namesOf(moving.others(BEN)), ['mine'], 'it is not answered yet: an earlier transaction ended')
    moving.arrived(flight)
    moving.settle(ANA)
    assert.deepEqual(moving.others(BEN), [])
  })

  it('lets nothing go that was read before a change that affects it', () => {
    const moving = new MovingNames()
    const departure = reading(BEN, 'mine', moving)
    const other = reading(BEN, 'yours', moving)
    moving.arrived(fly(moving, changing(ANA, 'mine', moving)))
    moving.settle(ANA)
    assert.equal(moving.depart(departure), 'moved')
    assert.notEqual(moving.depart(other), 'moved')
    assert.notEqual(moving.depart(reading(BEN, 'mine', moving)), 'moved')
  })

  it('lets no portal go whose names were looked up before a change that was over when its text was read again', () => {
    const moving = new MovingNames()
    const boundAt = moving.now
    moving.arrived(fly(moving, changing(ANA, 'mine', moving)))
    moving.settle(ANA)
    assert.equal(moving.depart({ ...reading(BEN, 'mine', moving), boundAt }), 'moved')
  })

  it('holds a change back until what it affects has arrived, and no longer', async () => {
    const moving = new MovingNames()
    const reader = fly(moving, reading(BEN, 'mine', moving))
    fly(moving, reading(BEN, 'yours', moving))
    const change = fly(moving, changing(ANA, 'mine', moving))
    assert.equal(moving.isClear(change), false)
    const clear = moving.clear(change, new AbortController().signal)
    assert.equal(moving.isClear(fly(moving, reading(BEN, 'mine', moving))), true, 'that was read with the change')
    moving.arrived(reader)
    await clear
    assert.equal(moving.isClear(change), true)
  })

  it('forgets a change that was withdrawn, and all of a session that has left', () => {
    const moving = new MovingNames()
    moving.withdraw(fly(moving, changing(ANA, 'mine', moving)))
    assert.deepEqual(moving.others(BEN), [])
    const change = fly(moving, changing(ANA, 'mine', moving))
    fly(moving, reading(BEN, 'mine', moving))
    assert.equal(moving.leave(BEN), false)
    assert.equal(moving.isClear(change), true)
    assert.equal(moving.leave(ANA), true)
    assert.deepEqual(moving.others(BEN), [])
  })
})

function fly(moving: MovingNames, departure: Departure): Exclude<ReturnType<MovingNames['depart']>, 'moved'> {
  const flight = moving.depart(departure)
  assert.ok(flight !== 'moved')
  return flight
}

const namesOf = (changes: readonly NameChange[]): readonly string[] => [...new Set(changes.map(({ name }) => name))]

const reading = (owner: object, table: string, { now }: MovingNames): Departure =>
  departure(owner, 'SelectStmt', 'sql.select', table, now)

const changing = (owner: object, table: string, { now }: MovingNames): Departure =>
  departure(owner, 'AlterTableStmt', 'sql.alter', table, now)

function departure(owner: object, node: string, action: string, table: string, readAt: number): Departure {
  const own = { has_where: false, functions: [], volatile_functions: [], predicates: [] }
  const resource = { type: 'Table', id: `orders/public.${table}` }
  const touches: readonly Touch[] = [{ action, resource, facts: { unbounded: false, args: {}, own } }]
  const flags = {
    changesSearchPath: false,
    changesNames: false,
    touchesHidden: false,
    computesHidden: false,
    explainable: false,
  }
  const statement: Statement = { node, touches, effect: 'final', nameChanges: [], ...flags }
  const sense = senseOf({ statements: [statement], touches, used: [], usedTexts: [], hides: [] })
  return { owner, sense, readAt, exposed: true }
}
