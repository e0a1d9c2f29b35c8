import { escapeLiteral } from 'pg'
import { z } from 'zod'

/** What the query of a rule mentions. `opaque`: a function or operator that is no built-in. */
export type Mentions = { readonly shows: readonly number[]; readonly opaque: boolean }

/** The rules that were read already, by a key that a rule has only as long as its query is the same. */
export type KnownRules = ReadonlyMap<string, Mentions>

/** Objects made after initdb have oids from here on. */
export const FIRST_OWN_OID = 16_384

export const Rules = z
  .array(
    z.object({
      key: z.string(),
      relation: z.int(),
      shows: z.array(z.int()).nullable(),
      opaque: z.boolean().nullable(),
    }),
  )
  .nullable()
type Rules = z.infer<typeof Rules>

/**
 * CTEs of the rules of relations from `oldest` on. Their queries are long: those of `known` rules are not searched again. A
 * row version is one only as long as the server runs: a promoted replica is another server, and may use its place again.
 */
export const rulesFrom = (oldest: number, known: KnownRules): string => `
rule AS (
  SELECT ev_class AS oid, ev_action,
    concat_ws('/', oid, xmin, ctid, extract(epoch FROM pg_postmaster_start_time())) AS key
  FROM pg_rewrite WHERE ev_class >= ${oldest}
), mention AS (
  SELECT key, oid, regexp_matches(ev_action::text,
    ':(relid|funcid|opfuncid|opno|aggfnoid|winfnoid) ([0-9]+)', 'g') AS of
  FROM rule WHERE key <> ALL (ARRAY[${[...known.keys()].map(escapeLiteral).join(', ')}]::text[])
), mentions AS (
  SELECT key,
    json_agg(DISTINCT of[2]::oid::int8) FILTER (WHERE of[1] = 'relid' AND of[2]::oid <> oid AND of[2] <> '0') AS shows,
    bool_or(of[1] <> 'relid' AND of[2]::int8 >= ${FIRST_OWN_OID}) AS opaque
  FROM mention GROUP BY key
)`

/** A JSON value of what `rulesFrom` found. */
export const RULES_FOUND = `(SELECT json_agg(json_build_object(
    'key', rule.key, 'relation', rule.oid::int8, 'shows', mentions.shows, 'opaque', mentions.opaque) ORDER BY rule.key)
  FROM rule LEFT JOIN mentions USING (key))`

/** All that there are now. */
export function rulesNow(found: Rules, known: KnownRules): KnownRules {
  return new Map(
    (found ?? []).map(({ key, shows, opaque }) => [
      key,
      known.get(key) ?? { shows: shows ?? [], opaque: opaque ?? false },
    ]),
  )
}

/** By the oid of their relation. */
export function mentionsOf(found: Rules, rules: KnownRules): ReadonlyMap<number, Mentions> {
  const byRelation = Map.groupBy(found ?? [], ({ relation }) => relation)
  return new Map(
    [...byRelation].map(([oid, own]) => {
      const mentions = own.map(({ key }) => rules.get(key)!)
      return [oid, { shows: mentions.flatMap(({ shows }) => shows), opaque: mentions.some(({ opaque }) => opaque) }]
    }),
  )
}
