import assert from 'node:assert/strict'
import { symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { Fault } from '../gateway/fault.ts'
import { checkPolicies, loadPolicies } from './load-policies.ts'
import { engine, targets, withPolicyFiles } from './policy-scene.ts'

const PERMIT = 'permit (principal, action in Action::"read", resource);'
const CONNECT = 'permit (principal, action == Action::"connect", resource);'
const UNMASK = 'permit (principal, action == Action::"unmask", resource);'
const FORBID = 'forbid (principal, action in Action::"read", resource);'

/** What is wrong with one file, as `line:column: text`. */
function wrong(text: string): readonly string[] {
  return withPolicyFiles({ 'a.cedar': text }, (dir) =>
    checkPolicies(dir).errors.map((error) => `${error.line}:${error.column}: ${error.text}`),
  )
}

/** Each a policy and all that is wrong with it. */
const CASES: readonly (readonly [string, string, readonly string[]])[] = [
  ['no @id', PERMIT, ['1:1: every policy needs an @id']],
  ['an empty @id', `@id("") ${PERMIT}`, ['1:1: @id takes a name, not ""']],
  ['a name with control characters', `@id("a\\n") ${PERMIT}`, ['1:1: @id takes a name, not "a\\n"']],
  ['two @id', `@id("a") @id("b") ${PERMIT}`, ['1:10: duplicate annotation: @id']],
  [
    'a parse error',
    `@id("a")\n${PERMIT}\n\n@id("é") permit (principal) ;`,
    ['4:27: this policy is missing the `action` variable in the scope'],
  ],
  ['an unknown annotation', `@id("a") @owner("me") ${PERMIT}`, ['1:10: unknown annotation @owner']],
  ['a spelling mistake', `@id("a")\n @Hold("group:dba") ${PERMIT}`, ['2:2: unknown annotation @Hold']],
  ['@budget', `@id("a") @budget("rows=1/1h") ${PERMIT}`, ['1:10: @budget is not built yet']],
  ['@reusable', `@id("a") @hold("group:dba") @reusable ${PERMIT}`, ['1:29: @reusable is not built yet']],
  ['@hold on connect', `@id("a") @hold("group:dba") ${CONNECT}`, ['1:10: @hold on connect is not built yet']],
  ['@hold on unmask', `@id("a") @hold("group:dba") ${UNMASK}`, ['1:10: @hold does not apply to unmask']],
  ['@hold on a forbid', `@id("a") @hold("group:dba") ${FORBID}`, ['1:10: @hold belongs on a permit']],
  ['@quorum without @hold', `@id("a") @quorum("2") ${PERMIT}`, ['1:10: @quorum needs @hold beside it']],
  ['@wait on a forbid', `@id("a") @wait("1s") ${FORBID}`, ['1:10: @wait belongs on a permit']],
  ['@ticket without @hold', `@id("a") @ticket("1s") ${PERMIT}`, ['1:10: @ticket needs @hold beside it']],
  ['@preview without @hold', `@id("a") @preview("rows") ${PERMIT}`, ['1:10: @preview needs @hold beside it']],
  [
    '@lease elsewhere',
    `@id("a") @lease("15m") ${PERMIT}`,
    ['1:10: @lease belongs on a permit whose scope names connect'],
  ],
  [
    '@lease on an open action scope',
    '@id("a") @lease("15m") permit (principal, action, resource);',
    ['1:10: @lease belongs on a permit whose scope names connect'],
  ],
  ['@message on a permit', `@id("a") @message("no") ${PERMIT}`, ['1:10: @message belongs on a forbid']],
  ['@remedy on a permit', `@id("a") @remedy("no") ${PERMIT}`, ['1:10: @remedy belongs on a forbid']],
  ['an empty @remedy', `@id("a") @remedy ${FORBID}`, ['1:10: @remedy takes a text of one line, not ""']],
  ['text that runs backwards', `@id("a") @message("a\u202Eb") ${FORBID}`, ['1:10: @message takes a text of one line']],
  ['a holder that is no group', `@id("a") @hold("dba") ${PERMIT}`, ['1:10: @hold takes "group:name", not "dba"']],
  ['two holders in one', `@id("a") @hold("group:a,group:b") ${PERMIT}`, ['1:10: @hold takes "group:name"']],
  [
    'a quorum of none',
    `@id("a") @hold("group:a") @quorum("0") ${PERMIT}`,
    ['1:27: @quorum takes a number from 1 to 99, not "0"'],
  ],
  ['a quorum of 1.5', `@id("a") @hold("group:a") @quorum("1.5") ${PERMIT}`, ['1:27: @quorum takes a number']],
  ['a wait without a unit', `@id("a") @hold("group:a") @wait("45") ${PERMIT}`, ['1:27: @wait takes a duration']],
  ['a wait of days', `@id("a") @hold("group:a") @wait("1d") ${PERMIT}`, ['1:27: @wait takes a duration']],
  ['a wait beyond the limit', `@id("a") @hold("group:a") @wait("169h") ${PERMIT}`, ['1:27: @wait takes a duration']],
  ['a ticket of no time', `@id("a") @hold("group:a") @ticket("0s") ${PERMIT}`, ['1:27: @ticket takes a duration']],
  ['a negative lease', `@id("a") @lease("-15m") ${CONNECT}`, ['1:10: @lease takes a duration']],
  [
    'a preview of something else',
    `@id("a") @hold("group:a") @preview("cols") ${PERMIT}`,
    ['1:27: @preview takes "rows", not "cols"'],
  ],
  [
    'a template',
    '@id("a") permit (principal == ?principal, action, resource);',
    ['1:31: templates are not supported: write the principal or resource'],
  ],
  [
    'an unknown action',
    '@id("a")\npermit (principal, action == Action::"sql.selekt", resource);',
    ['2:30: unrecognized action `Action::"sql.selekt"` (did you mean `Action::"sql.select"`?)'],
  ],
  [
    'an action that is not built',
    '@id("a") permit (principal, action == Action::"mcp.call", resource);',
    ['1:39: unrecognized action `Action::"mcp.call"`'],
  ],
  [
    'a fact that is not built',
    '@id("a") forbid (principal, action == Action::"connect", resource)\nwhen { context.role_actions.contains("write") };',
    ['2:8: context.role_actions is not built yet'],
  ],
  [
    'a fact that is not built behind has',
    '@id("a") forbid (principal, action == Action::"connect", resource)\nwhen { context has role_actions };',
    ['1:1: policy is impossible', '2:16: no request has role_actions'],
  ],
  [
    'an optional fact that is read without has',
    '@id("a") forbid (principal, action in Action::"write", resource)\nwhen { context.rows_estimate > 10 };',
    ['2:8: not every request has rows_estimate: write context has rows_estimate && '],
  ],
  [
    'an argument tested as an attribute',
    '@id("a") forbid (principal, action == Action::"sql.set", resource) unless { context.args has "/name" };',
    ['1:90: no request has /name'],
  ],
  [
    'a path tested with has',
    '@id("a") forbid (principal, action == Action::"sql.set", resource) unless { context has args.x };',
    ['1:85: no request has args.x'],
  ],
  [
    'a tag read without asking whether it is there',
    '@id("a") forbid (principal, action == Action::"sql.set", resource) when { context.args.getTag("/name") == "x" };',
    ['1:75: unable to guarantee safety of access to tag'],
  ],
  [
    'a condition that connect has no fact for',
    '@id("a") forbid (principal, action, resource) when { context.unbounded };',
    ['connect', 'unmask'].map((action) => `1:54: attribute \`unbounded\` in context for Action::"${action}" not found`),
  ],
  [
    'an unmask that no request is for',
    '@id("a") permit (principal is Agent, action == Action::"unmask", resource);',
    ['1:1: unable to find an applicable action'],
  ],
  [
    'a forbid that can never apply',
    '@id("a") forbid (principal, action == Action::"unmask", resource == Target::"orders");',
    ['1:1: unable to find an applicable action'],
  ],
  [
    'brackets too deep',
    `@id("a") ${PERMIT.slice(0, -1)} when { ${'('.repeat(400)}true${')'.repeat(400)} };`,
    ['1:1: brackets are nested 401 deep'],
  ],
  [
    'a condition too long',
    `@id("a") ${PERMIT.slice(0, -1)} when { ${'true || '.repeat(4000)}true };`,
    ['1:1: the policy has 4001 operators'],
  ],
]

describe('checkPolicies', () => {
  for (const [name, text, expected] of CASES) {
    it(`refuses ${name}, and says where`, () => {
      const found = [...wrong(text)].sort()
      const starts = found.map((line, index) => line.slice(0, expected[index]?.length))
      assert.deepEqual(starts, expected, found.join('\n'))
    })
  }

  it('accepts every annotation in its place', () => {
    const held = '@hold("group:Domain Admins") @quorum("2") @wait("0s") @ticket("1h") @preview("rows")'
    const text = `@id("a") ${held} ${PERMIT}\n@id("b") @lease("15m") ${CONNECT}\n@id("c") @message("No.") @remedy("Ask.") ${FORBID}`
    assert.deepEqual(wrong(text), [])
  })

  it('refuses the same @id twice, in one file or in two, and says where the other is', () => {
    const files = { 'b.cedar': `@id("x") ${PERMIT}`, 'a.cedar': `\n@id("x") ${PERMIT} @id("x") ${FORBID}` }
    withPolicyFiles(files, (dir) => {
      const found = checkPolicies(dir).errors.map(
        (error) => `${error.file}:${error.line}:${error.column}: ${error.text}`,
      )
      const text = `@id "x" is already in ${join(dir, 'a.cedar')}:2`
      assert.deepEqual(found, [`${join(dir, 'a.cedar')}:2:66: ${text}`, `${join(dir, 'b.cedar')}:1:1: ${text}`])
    })
  })

  it('reads every file below the directory, but none whose name begins with a dot', () => {
    const files = {
      'deep/er/a.cedar': PERMIT,
      'b.cedar': PERMIT,
      '.c.cedar': PERMIT,
      '.git/d.cedar': PERMIT,
      'e.txt': '(',
    }
    withPolicyFiles(files, (dir) => {
      const found = checkPolicies(dir).errors.map(({ file }) => file)
      assert.deepEqual(found, [join(dir, 'b.cedar'), join(dir, 'deep/er/a.cedar')])
    })
  })

  it('follows links, as a mounted ConfigMap has them', () => {
    withPolicyFiles({ '..2026/a.cedar': `@id("a") ${PERMIT}` }, (dir) => {
      symlinkSync('..2026', join(dir, '..data'))
      symlinkSync('..data/a.cedar', join(dir, 'a.cedar'))
      const { rules, errors } = checkPolicies(dir)
      assert.deepEqual([rules.map(({ id }) => id), errors], [['a'], []])
    })
  })

  it('refuses a file that is not UTF-8', () => {
    withPolicyFiles({ 'a.cedar': Buffer.from([0x2f, 0x2f, 0xff]) }, (dir) => {
      assert.deepEqual(
        checkPolicies(dir).errors.map(({ text }) => text),
        ['the file is not UTF-8'],
      )
    })
  })

  it('warns of look-alike letters without refusing the file', () => {
    const text = `@id("a") forbid (principal in Group::"\u0430dmin", action in Action::"read", resource);`
    withPolicyFiles({ 'a.cedar': text }, (dir) => {
      const { errors, warnings } = checkPolicies(dir)
      assert.deepEqual(errors, [])
      assert.match(warnings[0]!.text, /mixed scripts/)
    })
  })
})

describe('loadPolicies', () => {
  it('throws one Fault that lists every error with file, line and column', () => {
    withPolicyFiles({ 'a.cedar': `${PERMIT}\n permit(;`, 'b.cedar': `@id("x") @y ${PERMIT}` }, (dir) => {
      assert.throws(
        () => loadPolicies(dir, { targets, cedar: engine }),
        (fault) => {
          assert.ok(fault instanceof Fault && fault.code === 'policy')
          const places = fault.message.split('\n').map((line) => line.slice(dir.length + 1).split(': ')[0])
          assert.deepEqual(places, ['a.cedar:1:1', 'a.cedar:2:9', 'b.cedar:1:10'])
          return true
        },
      )
    })
  })

  it('throws a Fault when the directory or one of its files cannot be read', () => {
    withPolicyFiles({}, (dir) => {
      assert.throws(() => loadPolicies(join(dir, 'none'), { targets, cedar: engine }), {
        name: 'Fault',
        code: 'policy',
      })
      symlinkSync('nowhere', join(dir, 'a.cedar'))
      assert.throws(() => loadPolicies(dir, { targets, cedar: engine }), { name: 'Fault', code: 'policy' })
    })
  })

  it('names the same policies by the same hash, whatever file they are in', () => {
    const hash = (files: Record<string, string>): string =>
      withPolicyFiles(files, (dir) => loadPolicies(dir, { targets, cedar: engine }).hash)
    const [a, b] = [`@id("a") ${PERMIT}`, `@id("b") ${FORBID}`]
    assert.match(hash({ 'x.cedar': a }), /^[0-9a-f]{64}$/)
    assert.equal(hash({ 'x.cedar': `${a} // first\n ${b}` }), hash({ 'y.cedar': b, 'z/z.cedar': a }))
    assert.notEqual(hash({ 'x.cedar': a }), hash({ 'x.cedar': `${a} ${b}` }))
    assert.notEqual(hash({ 'x.cedar': a }), hash({ 'x.cedar': a.replace('read', 'write') }))
  })
})
