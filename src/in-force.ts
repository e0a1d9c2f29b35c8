import type { Cedar } from './policy/cedar.ts'
import { createAuthenticate, type Authenticate } from './identity/authenticate.ts'
import type { LocalTokens } from './identity/local-tokens.ts'
import { restartErrors } from './config/restart.ts'
import { same } from './config/same.ts'
import { errorText, type OpenedConfig } from './config/config.ts'
import { serverTls, type ServerTls } from './gateway/certificate.ts'
import type { Clock } from './gateway/clock.ts'
import { Fault } from './gateway/fault.ts'
import { loadPolicies } from './policy/load-policies.ts'
import type { Policy } from './policy/policy.ts'
import type { GatewayConfig, PROTOCOLS } from './targets.ts'

/** What a running gateway decides by. Replaced as a whole, never changed. */
export type InForce = {
  readonly config: GatewayConfig
  readonly policy: Policy
  readonly authenticate: Authenticate
  readonly tls: ServerTls
}

/** What outlives every reload. */
export type Foundation = { readonly cedar: Cedar; readonly local: LocalTokens; readonly clock: Clock }

type Opened = OpenedConfig<typeof PROTOCOLS>

/** The beginning. Throws Fault `config` or `policy`. */
export async function firstInForce(config: GatewayConfig, foundation: Foundation): Promise<InForce> {
  const { cedar, local, clock } = foundation
  return {
    config,
    policy: loadPolicies(config.policies, { targets: config.targets, cedar }),
    authenticate: createAuthenticate({ providers: config.identity, local, clock }),
    tls: await tlsOf(config),
  }
}

/**
 * What would be in force with this config. Throws a Fault with every reason why it cannot be, one a line. `http`: there
 * is a listener for http.
 */
export async function nextInForce(
  now: InForce,
  { config, line }: Opened,
  { cedar, local, clock }: Foundation,
  http: boolean,
): Promise<InForce> {
  const fixed = restartErrors(now.config, config, line, http).map(errorText)
  const [policy, tls] = await Promise.allSettled([
    Promise.try(() => loadPolicies(config.policies, { targets: config.targets, cedar })),
    same(now.config.tls, config.tls) ? now.tls : tlsAt(config, line(['tls'])),
  ])
  if (fixed.length > 0 || policy.status === 'rejected' || tls.status === 'rejected') {
    throw new Fault('config', [...fixed, ...reasonsOf(tls), ...reasonsOf(policy)].join('\n'))
  }
  const keeps = same(now.config.identity, config.identity)
  return {
    config,
    policy: policy.value,
    authenticate: keeps ? now.authenticate : createAuthenticate({ providers: config.identity, local, clock }),
    tls: tls.value,
  }
}

function reasonsOf(result: PromiseSettledResult<unknown>): readonly string[] {
  if (result.status === 'fulfilled') return []
  if (result.reason instanceof Fault) return [result.reason.message]
  throw result.reason
}

function tlsOf({ data, tls, listen }: GatewayConfig): Promise<ServerTls> {
  return serverTls(data, tls, [listen.admin.at.host, listen.postgres.at.host])
}

async function tlsAt(config: GatewayConfig, line: number): Promise<ServerTls> {
  try {
    return await tlsOf(config)
  } catch (error) {
    if (!(error instanceof Fault)) throw error
    throw new Fault('config', errorText({ file: config.file, line, key: 'tls', text: error.message }), error)
  }
}

/** What is other than before in the config and the policies: `policies`, `targets.orders`, `identity.corp`, `admin`, `tls`. */
export function changedParts(before: InForce, next: InForce, targets: readonly string[]): readonly string[] {
  const labelled = differing(before.config.targets, next.config.targets, ({ labels }) => labels)
  const providers = differing(before.config.identity, next.config.identity, (provider) => provider)
  return [
    ...(before.policy.hash === next.policy.hash ? [] : ['policies']),
    ...[...new Set([...targets, ...labelled])].map((name) => `targets.${name}`),
    ...providers.map((name) => `identity.${name}`),
    ...(same(before.config.admin, next.config.admin) ? [] : ['admin']),
    ...(before.tls === next.tls ? [] : ['tls']),
  ]
}

type Named = { readonly name: string }

/** Names of what is in one of two lists only, or in both with another value. */
function differing<T extends Named>(
  one: readonly T[],
  other: readonly T[],
  value: (of: T) => unknown,
): readonly string[] {
  const names = new Set([...one, ...other].map(({ name }) => name))
  return [...names].filter((name) => {
    const [a, b] = [one, other].map((list) => list.find((each) => each.name === name))
    return a === undefined || b === undefined || !same(value(a), value(b))
  })
}
