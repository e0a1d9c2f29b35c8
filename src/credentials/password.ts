import type { ConnectionOptions } from 'node:tls'
import { Secret } from '../gateway/secret.ts'
import type { LeaseSource } from '../grants/lease.ts'
import { openDatabase, readLogin } from './postgres-pool.ts'
import type { RoleCredential } from './postgres-role.ts'

export type PasswordOptions = {
  readonly target: string
  /** The target's URL, without a password. */
  readonly url: string
  /** Connection URL with the user and password that every session logs in with. */
  readonly login: Secret
  /** Left out: plain on loopback, verified TLS everywhere else. */
  readonly tls?: false | ConnectionOptions
}

/**
 * One login for every session, kept by the gateway: there is nothing to make and nothing to revoke. Fault `config` for a
 * URL that names no user.
 */
export function passwordLease(options: PasswordOptions): LeaseSource<RoleCredential> {
  const { user, password } = readLogin(options)
  return {
    take: async () => {
      const own = new Secret(password.reveal())
      return {
        name: user,
        credential: { user, password: own },
        revoke: async () => {
          own[Symbol.dispose]()
          return { verified: true }
        },
      }
    },
    sweep: async () => [],
    check: () => checkLogin(options),
    [Symbol.asyncDispose]: async () => password[Symbol.dispose](),
  }
}

async function checkLogin(options: PasswordOptions): Promise<readonly { lacks: string; remedy: string }[]> {
  await using database = openDatabase(options)
  try {
    await database.query('SELECT 1')
    return []
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    return [
      {
        lacks: `a connection to target ${options.target} as "${database.user}": ${reason}`,
        remedy: `Check the target's url, its tls and the lease's connection URL.`,
      },
    ]
  }
}
