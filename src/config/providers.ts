import * as z from 'zod'
import type { PrincipalKind } from '../gateway/domain.ts'
import type { Secret } from '../gateway/secret.ts'
import type { ReadContext } from './references.ts'
import { always, distinct, either, keys, notBuilt, text, textIn } from './fields.ts'
import { isLoopback } from './loopback.ts'

/** The kind of an identity when all these claims equal; no claims: always. */
export type KindRule = {
  readonly kind: PrincipalKind
  readonly claims: Readonly<Record<string, Scalar>>
}

type Scalar = string | number | boolean

/** A group that an identity is in when all these claims equal; of a list, one of its items. */
export type GroupRule = {
  readonly group: string
  readonly claims: Readonly<Record<string, Scalar | readonly Scalar[]>>
}

/** An issuer of tokens and what its claims mean. */
export type ProviderConfig = {
  readonly name: string
  /** In order; the first that fits wins. */
  readonly kind: readonly [KindRule, ...KindRule[]]
  /** The claim that says two accounts are one human. */
  readonly person?: string
  readonly oidc: OidcConfig
  /** Globs (`*`) of the groups that a claim may give; absent: any for users, none for agents and workloads. */
  readonly mayAssert?: readonly string[]
  /** Groups that the config itself gives, whatever `mayAssert` says. */
  readonly groups?: readonly GroupRule[]
}

export type OidcConfig = {
  /** Exactly as it stands in `iss`. */
  readonly issuer: string
  readonly audience: string
  /** The claim with groups: a member's name, or a path of names with dots. */
  readonly groups?: string
  readonly clientId?: string
  readonly clientSecret?: Secret
}

/** The provider of the gateway's own tokens. */
export const LOCAL_PROVIDER = 'local'

const KINDS = { user: 'User', agent: 'Agent', workload: 'Workload' } as const satisfies Record<string, PrincipalKind>
const kindWord = z.enum(['user', 'agent', 'workload'])

const scalar = z.union([z.string(), z.number(), z.boolean()], 'must be text, a number, true or false')
const NO_CLAIM = 'must name a claim and its value'
const claims = z.record(z.string(), scalar).refine((map) => Object.keys(map).length > 0, NO_CLAIM)

const oneOrMore = z.union(
  [scalar, z.array(scalar).min(1)],
  'must be text, a number, true or false, or a list of them that is not empty',
)

const groupRule = keys({
  group: text.max(255, 'is longer than 255 characters').refine(isPlain, 'must be plain text'),
  when: z.record(z.string(), oneOrMore).refine((map) => Object.keys(map).length > 0, NO_CLAIM),
}).transform(({ group, when }): GroupRule => ({ group, claims: when }))

/** Without format characters (bidirectional, zero-width) and broken ones. */
function isPlain(value: string): boolean {
  return value.isWellFormed() && !/[\p{Cf}\p{Zl}\p{Zp}]/u.test(value)
}

const kindMapping = keys({ user: claims.optional(), agent: claims.optional(), workload: claims.optional() })
  .refine((rule) => Object.keys(rule).length === 1, 'must be one of user, agent, workload, with the claims it takes')
  .transform((rule): KindRule => {
    const [word, wanted] = Object.entries(rule)[0]!
    return { kind: KINDS[word as keyof typeof KINDS], claims: wanted }
  })

const plainKind = kindWord.transform((word): KindRule => ({ kind: KINDS[word], claims: {} }))

const kindRules = z
  .array(either(plainKind, kindMapping, 'must be a kind, or a mapping of a kind to claims'))
  .min(1, 'must name a kind')
  .superRefine((rules, context) => {
    const end = rules.findIndex((rule) => Object.keys(rule.claims).length === 0)
    if (end === -1 || end === rules.length - 1) return
    context.addIssue({ code: 'custom', path: [end + 1], message: 'is never reached: the kind before it always fits' })
  })

const kind = either(
  plainKind.transform((rule) => [rule]),
  kindRules,
  'must be a kind, or a list of rules',
).transform((rules) => rules as unknown as readonly [KindRule, ...KindRule[]])

const issuer = text.superRefine((value, context) => {
  const problem = issuerProblem(value)
  if (problem) context.addIssue({ code: 'custom', message: problem })
})

/** OpenID Connect Discovery 1.0 section 3: an https URL without query or fragment. */
function issuerProblem(value: string): string | undefined {
  if (!URL.canParse(value)) return 'must be a URL'
  const url = new URL(value)
  if (url.username !== '' || url.password !== '') return 'must not contain a user or password'
  if (/[?#]/.test(value)) return 'must not contain a query or fragment'
  if (url.protocol === 'https:' || (url.protocol === 'http:' && isLoopback(url.hostname))) return undefined
  return 'must be an https URL (plain http is for loopback only)'
}

const providerName = z
  .string()
  .regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$/, 'must be letters, digits, ".", "_" and "-", at most 100')
  .refine(
    (name) => name.toLowerCase() !== LOCAL_PROVIDER,
    `"${LOCAL_PROVIDER}" is reserved for the gateway's own tokens`,
  )

function provider(read: ReadContext): z.ZodType<ProviderConfig> {
  const oidc = keys({
    issuer,
    audience: text,
    groups: text.optional(),
    client_id: text.optional(),
    client_secret: read.secret.optional(),
  }).transform(({ client_id, client_secret, ...rest }) => ({
    ...rest,
    clientId: client_id,
    clientSecret: client_secret,
  }))
  return keys({
    name: providerName,
    kind,
    person: text.optional(),
    oidc,
    may_assert: z.array(text).optional(),
    saml: notBuilt,
    groups: z.array(groupRule).optional(),
  }).transform(({ may_assert, ...rest }) => ({ ...rest, mayAssert: may_assert }))
}

const asPair = (entry: unknown): string | undefined => {
  const oidc = typeof entry === 'object' && entry !== null && 'oidc' in entry ? entry.oidc : undefined
  const issuer = textIn(oidc, 'issuer')
  const audience = textIn(oidc, 'audience')
  return issuer === undefined || audience === undefined ? undefined : JSON.stringify([issuer, audience])
}

/** The list under `identity`. */
export function providers(read: ReadContext): z.ZodType<readonly ProviderConfig[]> {
  const list = z.array(provider(read))
  const named = always(
    list,
    distinct((entry) => textIn(entry, 'name'), 'name', 'another provider has this name'),
  )
  return always(named, distinct(asPair, 'oidc', 'another provider has this issuer and audience'))
}
