import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { systemClock } from '../../src/gateway/clock.ts'
import { openLocalTokens } from '../../src/identity/local-tokens.ts'
import { startGateway, type Running } from '../../src/start.ts'
import { startPostgres, type PostgresOptions, type TestPostgres } from '../postgres.ts'
import { script, type Role } from './cases.ts'
import { resetting, type Resetting } from './reset.ts'

/** The database of a set of cases, and what protects it. */
export type Setting = 'masked' | 'opaque' | 'policy'

/** One PostgreSQL with the databases of the corpus, and one gateway with a target for each of them and each role. */
export interface Stage extends AsyncDisposable {
  readonly postgres: TestPostgres
  readonly version: number
  readonly port: number
  /** A token for sessions under the policy of this name. */
  token(policy: string): Promise<string>
  /** The state of a database, made as new where a case changed it. */
  readonly states: Readonly<Record<Setting, Resetting>>
}

/** The lease of a target, as the config has it; `admin` is the superuser's connection URL. */
export type Leases = (role: Role, login: string, admin: string) => object

export const targetOf = (setting: Setting, role: Role): string => `${setting}-${role}`

const LOGINS: Readonly<Record<Role, string>> = {
  agent: 'agent',
  owner: 'app_owner',
  monitor: 'agent_mon',
  superuser: 'agent_su',
}
const PASSWORD = 'of-the-corpus'
const ROLES = Object.keys(LOGINS) as Role[]
export const DATABASES = { masked: 'shop', opaque: 'shop_opaque', policy: 'shop' } as const
const EXTENSIONS = ['dblink', 'hstore', 'tablefunc', 'pg_trgm', 'file_fdw', 'pg_stat_statements', 'adminpack']

/** Every session logs in as the role itself, which may read everything: only reading the SQL protects anything. */
export const passwordLeases: Leases = (_role, login) => ({ password: `file:./${login}` })

/** Every session gets a role that has no right to read what is hidden. */
export const profileLeases: Leases = (_role, _login, admin) => ({
  'postgres-role': { admin, profile: { schemas: ['public'], rights: ['select', 'insert', 'update', 'delete'] } },
})

export async function startStage(leases: Leases = passwordLeases, options: PostgresOptions = {}): Promise<Stage> {
  await using starting = new AsyncDisposableStack()
  const directory = await mkdtemp(join(tmpdir(), 'sallyport-corpus-'))
  starting.defer(() => rm(directory, { recursive: true, force: true }))
  const postgres = starting.use(
    await startPostgres({ ...options, settings: ['shared_preload_libraries=pg_stat_statements'] }),
  )
  await seed(postgres)
  const states = {
    masked: starting.use(resetting(postgres, 'shop')),
    opaque: starting.use(resetting(postgres, 'shop_opaque')),
  }
  for (const state of Object.values(states)) await state.renew()
  const gateway = await startGateway(await writeConfig(directory, postgres, leases), SILENT)
  starting.defer(() => gateway.drain())
  const parts = starting.move()
  const tokens = new Map<string, Promise<string>>()
  return {
    postgres,
    version: await versionOf(postgres),
    port: gateway.postgres.port,
    token: (policy) => {
      const kept = tokens.get(policy) ?? token(gateway, policy)
      tokens.set(policy, kept)
      return kept
    },
    states: { ...states, policy: states.masked },
    [Symbol.asyncDispose]: () => parts.disposeAsync(),
  }
}

const SILENT = { checkpoint: () => undefined, warn: () => undefined }

async function versionOf(postgres: TestPostgres): Promise<number> {
  const [row] = await postgres.query(`SELECT current_setting('server_version_num')::int / 10000 AS version`)
  return Number(row?.['version'])
}

async function token({ config, installation }: Running, policy: string): Promise<string> {
  const tokens = await openLocalTokens({ dataDir: config.data, installation, clock: systemClock })
  return tokens.mint({ kind: 'Agent', name: 'corpus', groups: [policy] })
}

async function seed(postgres: TestPostgres): Promise<void> {
  await postgres.query(script('roles.sql'))
  for (const login of Object.values(LOGINS)) await postgres.query(`ALTER ROLE ${login} PASSWORD '${PASSWORD}'`)
  await postgres.query('CREATE DATABASE shop_seed')
  const inSeed = (name: string): string => postgres.admin.replace(/postgres$/, name)
  await postgres.query(script('seed.sql'), undefined, inSeed('shop_seed'))
  const known = await postgres.query('SELECT name FROM pg_available_extensions')
  for (const name of EXTENSIONS.filter((name) => known.some((row) => row['name'] === name)))
    await postgres.query(`CREATE EXTENSION ${name}`, undefined, inSeed('shop_seed'))
  await postgres.query('CREATE DATABASE shop_opaque_seed TEMPLATE shop_seed')
  await postgres.query(script('seed_opaque.sql'), undefined, inSeed('shop_opaque_seed'))
}

const SENSITIVE = {
  pii: ['email', 'ssn', 'phone', 'profile'].map((column) => `public.customers.${column}`),
  card: ['public.customers.card'],
}

async function writeConfig(directory: string, postgres: TestPostgres, leases: Leases): Promise<string> {
  await mkdir(join(directory, 'policies'))
  await writeFile(join(directory, 'policies', 'corpus.cedar'), script('policies.cedar'))
  await writeFile(join(directory, 'admin'), postgres.admin)
  for (const login of Object.values(LOGINS))
    await writeFile(join(directory, login), postgres.url('postgres', login, PASSWORD))
  const settings = Object.keys(DATABASES) as Setting[]
  const targets = settings.flatMap((setting) =>
    ROLES.map((role) => ({
      name: targetOf(setting, role),
      postgres: {
        url: postgres.url(DATABASES[setting]),
        lease: leases(role, LOGINS[role], 'file:./admin'),
        ...(setting !== 'policy' && { sensitive: SENSITIVE, detect: ['credit_card', 'email'] }),
      },
    })),
  )
  const listen = { admin: '127.0.0.1:0', postgres: '127.0.0.1:0' }
  const file = join(directory, 'sallyport.yaml')
  await writeFile(file, JSON.stringify({ version: 1, listen, targets }))
  return file
}
