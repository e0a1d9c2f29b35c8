import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import type { Facts, Identity, Operation, Resource, Touch } from '../gateway/domain.ts'
import type { Cedar } from './cedar.ts'
import { loadPolicies, startPolicyEngine } from './load-policies.ts'
import type { Policy } from './policy.ts'

/** What the tests of policies ask with: who, about what, under which policies. */

/** One engine for all tests of a file. */
export const engine: Cedar = startPolicyEngine()

export const targets = [
  { name: 'orders', labels: { env: 'prod' } },
  { name: 'billing', labels: { env: 'test' } },
]

/** Runs with a directory of policy files that is gone afterwards. */
export function withPolicyFiles<T>(files: Readonly<Record<string, string | Uint8Array>>, run: (dir: string) => T): T {
  const dir = mkdtempSync(join(tmpdir(), 'policies-'))
  try {
    for (const [name, content] of Object.entries(files)) {
      mkdirSync(dirname(join(dir, name)), { recursive: true })
      writeFileSync(join(dir, name), content)
    }
    return run(dir)
  } finally {
    rmSync(dir, { recursive: true })
  }
}

/** The policy of one file's text. */
export function policyOf(text: string, cedar: Cedar = engine): Policy {
  return withPolicyFiles({ 'rules.cedar': text }, (dir) => loadPolicies(dir, { targets, cedar }))
}

export function identity(kind: Identity['kind'], name: string, groups: readonly string[] = []): Identity {
  const [provider = '', subject = ''] = name.split('/')
  return { kind, provider, subject, groups, expiresAt: Number.MAX_SAFE_INTEGER }
}

export const bot: Identity = identity('Agent', 'corp/bot', ['data-agents'])

export function target(name: string): Resource {
  return { type: 'Target', id: name }
}

/** `orders/public.users`, with everything above it. */
export function table(id: string): Resource {
  const schema = id.split('.')[0]!
  return { type: 'Table', id, parent: { type: 'Schema', id: schema, parent: target(schema.split('/')[0]!) } }
}

export function facts(more: Partial<Facts> = {}): Facts {
  return {
    unbounded: false,
    args: {},
    own: { has_where: true, functions: [], volatile_functions: [], predicates: [] },
    ...more,
  }
}

export function touch(action: string, resource: Resource | string, more: Partial<Facts> = {}): Touch {
  return { action, resource: typeof resource === 'string' ? table(resource) : resource, facts: facts(more) }
}

export function operation(...touches: readonly [Touch, ...Touch[]]): Operation {
  return {
    id: 'op_1',
    stage: 'execute',
    touches,
    text: 'not looked at',
    digest: '00',
    effect: 'none',
    inTransaction: false,
  }
}
