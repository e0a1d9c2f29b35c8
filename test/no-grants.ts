import type { GrantRoutesOptions } from '../src/admin/grant-routes.ts'
import { systemClock } from '../src/gateway/clock.ts'
import type { Grants } from '../src/grants/grants.ts'
import { mockVerifier } from '../src/grants/scram-verifier.ts'
import { refuse } from '../src/gateway/refusals.ts'

const refusal = refuse('grant', 'There is no such grant.')

/** Where nobody has asked for a grant: each session has its own. */
export const NO_GRANTS: Grants = {
  open: async ({ expiresAt }) => ({
    grant: { id: 'grt_1', identity: 'test/agent', target: 'orders', purpose: 'test', openedAt: 0, expiresAt },
  }),
  end: async () => undefined,
  request: async () => ({ refusal }),
  find: async () => undefined,
  list: async () => [],
  use: async () => ({ refusal }),
  finish: async () => undefined,
  hold: async () => undefined,
  overdue: async () => [],
  verifier: async (user) => mockVerifier('test', user),
  withPassword: async () => undefined,
}

/** What the API of such a gateway has of grants. */
export const NO_GRANT_ROUTES: Omit<GrantRoutesOptions, 'admin'> = {
  grants: NO_GRANTS,
  desk: { request: async () => ({ refusal }), end: async () => undefined, hold: async () => undefined },
  connecting: () => undefined,
  clock: systemClock,
}
