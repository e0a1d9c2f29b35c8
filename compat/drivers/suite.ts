import type { Arm } from './arm.ts'
import type { Results } from './results.ts'

/** The test suite of somebody else's client, run as it is against the server and through a gateway. */
export type Suite = {
  readonly name: string
  readonly about: string
  /** Databases of its server, each a target of the same name; the first is the one it connects to. */
  readonly databases: readonly [string, ...string[]]
  /** Run by the superuser before the suite. */
  readonly setup: readonly string[]
  /** Settings of the server, each `name=value`. */
  readonly settings: readonly string[]
  /** Lines of the server's pg_hba.conf; all by scram-sha-256 unless given. */
  readonly hba?: readonly string[]
  /** Why a test ends otherwise through a gateway, and always will, by its name. */
  readonly reasons: Readonly<Record<string, string>>
  /** Runs the suite in `checkout` to its end. */
  readonly run: (checkout: string, arm: Arm) => Promise<Results>
}
