import { createHash, randomUUID } from 'node:crypto'
import { preparsePolicySet, preparseSchema, statefulIsAuthorized } from '@cedar-policy/cedar-wasm/nodejs'
import type { Context, Decision, EntityJson, TypeAndId } from '@cedar-policy/cedar-wasm/nodejs'
import { Fault } from '../gateway/fault.ts'
import type { Rule } from './rule.ts'

/** One Cedar request. */
export type CedarRequest = {
  readonly principal: TypeAndId
  readonly action: string
  readonly resource: TypeAndId
  readonly context: Context
  readonly entities: readonly EntityJson[]
}

/** `rules` are all satisfied permits of an allow, or all satisfied forbids of a deny. `errors` are rules that broke. */
export type CedarAnswer =
  | { readonly decision: Decision; readonly rules: readonly string[]; readonly errors: readonly string[] }
  | { readonly failure: string }

/** Policies that are asked together. */
export type PolicySlice = { readonly key: string; readonly policies: Readonly<Record<string, string>> }

/**
 * Cedar's engine in this process. It keeps every prepared policy set for good, under a name: names are therefore lent
 * to slices and taken back from the one used longest ago. A slice that lost its name is prepared again when it is next
 * asked, so sets loaded at different times never mix, however many of them live sessions still use. Use one for the
 * whole process: each has names of its own.
 */
export interface Cedar {
  /** Never throws: what cannot be asked is a `failure`. */
  ask(slice: PolicySlice, request: CedarRequest): CedarAnswer
  /** Makes room for at least so many slices. */
  reserve(slices: number): void
}

/** The slice of these rules; slices of the same rules are the same. */
export function sliceOf(rules: readonly Rule[]): PolicySlice {
  const entries = rules.map((rule) => [rule.id, rule.text] as const)
  const key = createHash('sha256').update(JSON.stringify(entries)).digest('hex')
  return { key, policies: Object.fromEntries(entries) }
}

function askCedar(request: CedarRequest, schemaName: string, setName: string): CedarAnswer {
  const answer = statefulIsAuthorized({
    ...request,
    action: { type: 'Action', id: request.action },
    entities: [...request.entities],
    preparsedSchemaName: schemaName,
    preparsedPolicySetId: setName,
    validateRequest: true,
  })
  if (answer.type === 'failure') return { failure: answer.errors.map((error) => error.message).join('; ') }
  const { decision, diagnostics } = answer.response
  return { decision, rules: diagnostics.reason, errors: diagnostics.errors.map((error) => error.policyId) }
}

function prepareUnder(name: string, slice: PolicySlice): void {
  const prepared = preparsePolicySet(name, { staticPolicies: { ...slice.policies } })
  if (prepared.type === 'failure') throw new Fault('policy', prepared.errors[0]?.message ?? 'unreadable policies')
}

type Names = {
  /** The name that the slice is prepared under. Throws when it cannot be prepared. */
  readonly nameOf: (slice: PolicySlice) => string
  readonly reserve: (slices: number) => void
}

/** At most `slots` names, or as many as were reserved since. */
function lendNames(prefix: string, slots: number): Names {
  const named = new Map<string, string>()
  const free: string[] = []
  let room = slots

  function takeName(): string {
    const oldest = named.size < room ? undefined : named.entries().next().value
    if (oldest) named.delete(oldest[0])
    return oldest?.[1] ?? free.pop() ?? `${prefix}/${named.size}`
  }

  function nameOf(slice: PolicySlice): string {
    const name = named.get(slice.key) ?? takeName()
    // Until it is prepared the name is nobody's, whatever the engine holds under it.
    free.push(name)
    if (!named.delete(slice.key)) prepareUnder(name, slice)
    free.pop()
    named.set(slice.key, name)
    return name
  }

  return {
    nameOf,
    reserve: (slices) => {
      room = Math.max(room, slices)
    },
  }
}

/** Throws Fault `policy` when the schema does not parse. */
export function startCedar(schema: string, slots = 64): Cedar {
  const prefix = randomUUID()
  const parsed = preparseSchema(prefix, schema)
  if (parsed.type === 'failure') throw new Fault('policy', `The policy schema: ${parsed.errors[0]?.message}`)
  const names = lendNames(prefix, slots)
  return {
    ask: (slice, request) => {
      try {
        return askCedar(request, prefix, names.nameOf(slice))
      } catch (error) {
        return { failure: String(error) }
      }
    },
    reserve: names.reserve,
  }
}
