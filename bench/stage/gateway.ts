import { copyFile, mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createToken, serve, type Serving } from '../../test/command.ts'
import type { TestPostgres } from '../../test/postgres.ts'
import { ADMIN, DATABASE } from './database.ts'

/** A gateway that is a process of its own, and an agent's token for it. */
export type BenchGateway = AsyncDisposable & {
  readonly serving: Serving
  readonly token: string
}

const POLICIES = join(import.meta.dirname, '../../examples/policies')

/**
 * Policies, masking, detectors and records are on: the policies to start from, two classes of sensitive columns, every
 * detector there is, the log on the disk of the temporary directory.
 */
export async function startGateway(
  directory: string,
  postgres: TestPostgres,
  environment: NodeJS.ProcessEnv = {},
): Promise<BenchGateway> {
  await mkdir(join(directory, 'policies'), { recursive: true })
  await copyFile(join(POLICIES, 'start.cedar'), join(directory, 'policies', 'start.cedar'))
  await writeFile(join(directory, 'admin-url'), postgres.url(DATABASE, ADMIN.user, ADMIN.password), { mode: 0o600 })
  const config = join(directory, 'sallyport.yaml')
  await writeFile(config, configText(postgres))
  const serving = await serve(config, environment)
  const token = await createToken(config, '--agent', 'bench', '--group', 'data-agents', '--for', '4h')
  return { serving, token, [Symbol.asyncDispose]: () => serving[Symbol.asyncDispose]() }
}

function configText(postgres: TestPostgres): string {
  return `version: 1
listen: { admin: 127.0.0.1:0, postgres: 127.0.0.1:0 }
targets:
  - name: ${DATABASE}
    labels: { env: bench }
    postgres:
      url: ${postgres.url(DATABASE)}
      lease: { postgres-role: { admin: file:./admin-url, member_of: [orders_writer] } }
      sensitive:
        pii: [public.customers.email, public.pgbench_accounts.filler]
        card: [public.customers.card]
      detect: [credit_card, email]
policies: ./policies
`
}
