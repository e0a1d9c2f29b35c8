import assert from 'node:assert/strict'
import { it } from 'node:test'
import type { Case } from './cases.ts'
import { leaks, type Heard } from './heard.ts'
import { play, type Way } from './play.ts'
import type { Setting, Stage } from './stage.ts'

/** The SQLSTATE of an operation that waits for an approval. */
const HELD = 'SP001'

type Theatre = { readonly stage: () => Stage; readonly setting: Setting }

/** One test for each masking case: nothing secret in any byte, however it is sent; what must arrive arrives masked. */
export function maskingTests({ stage, setting }: Theatre, cases: readonly Case[]): void {
  for (const one of cases) {
    it(`${one.id} ${one.category}: ${one.note}`, async (t) => {
      if ((one.min_pg ?? 0) > stage().version) return t.skip(`PostgreSQL ${one.min_pg} and later`)
      const state = stage().states[setting]
      await state.around(one.setup ?? [], async () => {
        for (const way of waysOf(one, setting)) {
          const heard = await play(stage(), one, { setting, policy: 'everything', way })
          assert.deepEqual(leaks(one, heard), [], `${way}: ${heard.told}`)
          if (one.expect === 'masked_rows' || one.expect === 'pattern_mask') assertRows(heard, way)
        }
      })
      return undefined
    })
  }
}

/**
 * A case that says how it is sent is sent so only; a single one may as well be prepared, with results in binary. Where
 * values come from is the same with results in text.
 */
function waysOf(one: Case, setting: Setting): readonly Way[] {
  if (one.mode !== undefined || one.sql.length > 1) return ['simple']
  return setting === 'opaque' ? ['simple', 'binary'] : ['simple', 'extended', 'binary']
}

function assertRows(heard: Heard, way: Way): void {
  assert.deepEqual(heard.errors, [], `${way}: ${heard.told}`)
  assert.ok(heard.rows > 0, `${way}: no rows: ${heard.told}`)
}

/** One test for each control: it works, with everything in it that is nobody's secret. */
export function controlTests({ stage, setting }: Theatre, cases: readonly Case[]): void {
  for (const one of cases) {
    const todo = one.policy_dependent ? 'may be refused' : false
    it(`${one.id} ${one.category}: ${one.note}`, { todo }, async () => {
      const state = stage().states[setting]
      await state.around(one.setup ?? [], async () => {
        const heard = await play(stage(), one, { setting, policy: 'everything', way: 'simple' })
        const { stream } = heard.channels
        assert.equal(heard.failure, undefined, heard.told)
        if (!one.allow_error) assert.deepEqual(heard.errors, [], heard.told)
        assert.deepEqual(
          (one.must_contain ?? []).filter((wanted) => !stream.includes(wanted)),
          [],
          heard.told,
        )
        assert.deepEqual(
          (one.must_not_contain ?? []).filter((secret) => stream.includes(secret)),
          [],
          heard.told,
        )
      })
    })
  }
}

/** One test for each policy case: denied, held or allowed as it says, and without effect unless allowed. */
export function policyTests({ stage, setting }: Theatre, cases: readonly Case[]): void {
  for (const one of cases) {
    it(`${one.id} ${one.policy}, ${one.category}: ${one.note}`, async () => {
      const state = stage().states[setting]
      await state.around(one.setup ?? [], async () => {
        const states = { all: await state.fingerprint(), rows: await state.rows() }
        const heard = await play(stage(), one, { setting, policy: one.policy ?? '', way: 'simple' })
        await state.prepare(one.cleanup ?? [])
        const changed =
          one.sql.length === 1 ? (await state.fingerprint()) !== states.all : (await state.rows()) !== states.rows
        const seen = verdictOf(one, heard, changed)
        const good = [one.expect, ...(one.also_ok ?? [])]
        assert.ok(good.includes(seen), `${seen} instead of ${good.join(' or ')}: ${heard.told}`)
      })
    })
  }
}

/**
 * What was decided, told by what came of it: `deny` and `hold` only from the gateway's own refusals, without effect and
 * without a marked value.
 */
function verdictOf(one: Case, heard: Heard, changed: boolean): string {
  const marked = (one.markers ?? []).filter((marker) => heard.channels.stream.includes(marker))
  const blocked = heard.refusals > 0 || heard.failure !== undefined
  if (!blocked) return heard.errors.length === 0 || one.valid_sql === false ? 'allow' : 'an error of the target'
  if (changed || marked.length > 0) return `blocked with an effect (${marked.join()})`
  return heard.states.includes(HELD) ? 'hold' : 'deny'
}
