import { policyToJson, validate } from '@cedar-policy/cedar-wasm/nodejs'
import type { DetailedError, PolicyJson, ValidationError } from '@cedar-policy/cedar-wasm/nodejs'
import { Fault } from '../gateway/fault.ts'
import { absentFacts } from './absent-facts.ts'
import { readAnnotations } from './annotations.ts'
import { beyondLimits } from './policy-limits.ts'
import { offsetIn, problemAt } from './problem.ts'
import type { PolicyFile, PolicyProblem } from './problem.ts'
import type { Rule } from './rule.ts'
import { actionsIn, contextFacts } from './schema.ts'
import { coveredActions, namedBy, scopeOf, type Actions } from './scope.ts'
import { splitPolicies } from './split-policies.ts'
import type { PolicyText } from './split-policies.ts'

/** One policy that Cedar could parse, and where it stands. */
type Parsed = { readonly file: PolicyFile; readonly place: PolicyText; readonly json: PolicyJson }

/** What was found in policy files. Warnings do not stop a load. */
export type Findings = {
  readonly rules: readonly Rule[]
  readonly errors: readonly PolicyProblem[]
  readonly warnings: readonly PolicyProblem[]
}

/** Facts that the gateway finds out only for policies that read them. */
const OPTIONAL_FACTS = ['rows_estimate']

/** Facts of the language that no request carries yet. */
const NOT_BUILT = /attribute `(role_actions)`/

/** A policy that can never apply is a mistake in its scope or its condition; a forbid of that kind protects nothing. */
const NEVER_APPLIES = /policy is impossible|unable to find an applicable action/

function wording(error: DetailedError): string {
  const message = error.message
    .replace(/^for policy `[^`]*`, /, '')
    .replace(/^failed to parse policy from string: /, '')
  const missing = NOT_BUILT.exec(message)
  if (missing) return `context.${missing[1]} is not built yet`
  const optional = OPTIONAL_FACTS.find((fact) => message.includes(`attribute \`${fact}\``))
  if (optional) return `not every request has ${optional}: write context has ${optional} && … before it`
  if (message.startsWith('expected a static policy'))
    return 'templates are not supported: write the principal or resource'
  return error.help ? `${message} (${error.help})` : message
}

function problemIn(file: PolicyFile, place: PolicyText, error: DetailedError): PolicyProblem {
  return problemAt(file, offsetIn(place, error.sourceLocations?.[0]?.start ?? 0), wording(error))
}

function parsePolicy(file: PolicyFile, place: PolicyText): { parsed?: Parsed; problem?: PolicyProblem } {
  const limit = beyondLimits(place)
  if (limit) return { problem: problemAt(file, place.offset, limit) }
  const answer = policyToJson(place.text)
  if (answer.type === 'success') return { parsed: { file, place, json: answer.json } }
  return { problem: problemIn(file, place, answer.errors[0]!) }
}

/** Validates against the schema. The policies' own ids are not used here: two may be the same. */
function validateAll(parsed: readonly Parsed[], schema: string): readonly ValidationError[] {
  const staticPolicies = Object.fromEntries(parsed.map(({ place }, index) => [String(index), place.text]))
  const answer = validate({ schema, policies: { staticPolicies }, validationSettings: { mode: 'strict' } })
  if (answer.type === 'failure') throw new Fault('policy', answer.errors.map((error) => error.message).join('; '))
  return [...answer.validationErrors, ...answer.validationWarnings]
}

/** What the validator found in one policy. That it never applies is said only where nothing says why. */
function sortOut(
  { file, place }: Parsed,
  found: readonly DetailedError[],
): { readonly errors: readonly PolicyProblem[]; readonly warnings: readonly PolicyProblem[] } {
  const plain = found.filter(({ severity }) => severity !== 'warning')
  const idle = found.filter(({ message }) => NEVER_APPLIES.test(message))
  const warnings = found.filter((error) => !plain.includes(error) && !idle.includes(error))
  const locate = (error: DetailedError): PolicyProblem => problemIn(file, place, error)
  return { errors: (plain.length > 0 ? plain : idle.slice(0, 1)).map(locate), warnings: warnings.map(locate) }
}

/** The policy as a rule, when its annotations say all that a rule needs. */
function readRule(
  { file, place, json }: Parsed,
  actions: Actions,
): { rule?: Rule; problems: readonly PolicyProblem[] } {
  const { terms, complaints } = readAnnotations(json)
  const problems = complaints.map(({ annotation, text }) =>
    problemAt(file, place.annotations.get(annotation ?? '') ?? place.offset, text),
  )
  if (terms.id === undefined) return { problems }
  const { effect, action, principal, resource, conditions } = json
  const rule: Rule = {
    id: terms.id,
    effect,
    text: place.text,
    actions: new Set(namedBy(action)),
    covered: coveredActions(json, actions),
    principal: scopeOf(principal),
    resource: scopeOf(resource),
    conditional: conditions.length > 0,
    asks: new Set(OPTIONAL_FACTS.filter((fact) => JSON.stringify(conditions).includes(`"${fact}"`))),
    terms,
  }
  return { rule, problems }
}

function checkAbsentFacts(parsed: Parsed, facts: ReadonlySet<string>): readonly PolicyProblem[] {
  return absentFacts(parsed.json, facts).map((fact) => {
    const at = Math.max(parsed.place.text.search(new RegExp(`\\bhas\\s+"?${RegExp.escape(fact)}`)), 0)
    const text = `no request has ${fact}, so this is never true: it is not built yet, or not a fact of the schema`
    return problemAt(parsed.file, parsed.place.offset + at, text)
  })
}

function checkDuplicates(read: readonly { rule?: Rule; parsed: Parsed }[]): readonly PolicyProblem[] {
  const first = new Map<string, Parsed>()
  return read.flatMap(({ rule, parsed }) => {
    if (!rule) return []
    const earlier = first.get(rule.id)
    if (!earlier) first.set(rule.id, parsed)
    const at = parsed.place.annotations.get('id') ?? parsed.place.offset
    return earlier ? [problemAt(parsed.file, at, `@id ${JSON.stringify(rule.id)} is already in ${where(earlier)}`)] : []
  })
}

function where({ file, place }: Parsed): string {
  return `${file.path}:${problemAt(file, place.offset, '').line}`
}

function inOrder(problems: readonly PolicyProblem[]): readonly PolicyProblem[] {
  const distinct = new Map(problems.map((problem) => [JSON.stringify(problem), problem]))
  return [...distinct.values()].sort(
    (a, b) => (a.file < b.file ? -1 : a.file > b.file ? 1 : 0) || a.line - b.line || a.column - b.column,
  )
}

/** Reads and checks the policies of files, in their order. `rules` is complete only when there are no errors. */
export function readRules(files: readonly PolicyFile[], schema: string): Findings {
  const attempts = files.flatMap((file) => splitPolicies(file.source).map((place) => parsePolicy(file, place)))
  const parsed = attempts.flatMap((attempt) => attempt.parsed ?? [])
  const facts = contextFacts(schema)
  const actions = actionsIn(schema)
  const validation = validateAll(parsed, schema)
  const checked = parsed.map((one, index) => ({
    parsed: one,
    ...readRule(one, actions),
    ...sortOut(
      one,
      validation.flatMap(({ policyId, error }) => (policyId === String(index) ? error : [])),
    ),
  }))
  const errors = [
    ...attempts.flatMap((attempt) => attempt.problem ?? []),
    ...checked.flatMap((one) => [...one.errors, ...one.problems, ...checkAbsentFacts(one.parsed, facts)]),
    ...checkDuplicates(checked),
  ]
  return {
    rules: checked.flatMap((one) => one.rule ?? []),
    errors: inOrder(errors),
    warnings: inOrder(checked.flatMap((one) => one.warnings)),
  }
}
