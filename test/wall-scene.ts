import { Client } from 'pg'
import { openDatabase } from '../src/credentials/postgres-pool.ts'
import { postgresRole, type RoleCredential } from '../src/credentials/postgres-role.ts'
import type { Profile } from '../src/credentials/profile.ts'
import { systemClock } from '../src/gateway/clock.ts'
import { newId } from '../src/gateway/ids.ts'
import { Secret } from '../src/gateway/secret.ts'
import type { Lease, LeaseSource } from '../src/grants/lease.ts'
import { catalogSource } from '../src/protocols/postgres/catalog.ts'
import type { PostgresLease } from '../src/protocols/postgres/config.ts'
import { postgresTarget, type PostgresTarget } from '../src/protocols/postgres/postgres-target.ts'
import type { SqlReader } from '../src/sql/reader.ts'
import { startPostgres, type TestPostgres } from './postgres.ts'

/** A database whose sessions get their rights by `profile`. */
export interface WallScene extends AsyncDisposable {
  readonly postgres: TestPostgres
  /** As the superuser, in the database of the target. */
  sql(text: string): Promise<readonly Readonly<Record<string, unknown>>[]>
  /** The same on one connection, for `work`. */
  asSuperuser<T>(work: (client: Client) => Promise<T>): Promise<T>
  /** Another gateway's view of the same target, or the same with other settings. */
  open(options?: WallOptions): WallSource
}

export type WallOptions = {
  readonly profile?: Partial<Profile>
  readonly target?: string
  /** How old a catalog may be; 0, unless given: read for each session. */
  readonly maxAgeMs?: number
  readonly sensitive?: Readonly<Record<string, readonly string[]>>
}

export interface WallSource extends AsyncDisposable {
  readonly target: PostgresTarget
  readonly leases: LeaseSource<RoleCredential>
  take(hidden?: readonly string[], possible?: readonly string[]): Promise<Lease<RoleCredential>>
  /** Connects as a session's role, for `work`. */
  as<T>(lease: Lease<RoleCredential>, work: (client: Client) => Promise<T>): Promise<T>
}

export const SENSITIVE = {
  pii: ['public.customers.email', 'public.customers.mobile', 'public.Odd "Name.sp ace', 'public.events.who'],
  card: ['public.customers.card'],
  secret: ['public.tenants.token'],
}

const SETUP = `
  CREATE ROLE orders_owner NOLOGIN;
  CREATE ROLE sallyport LOGIN CREATEROLE PASSWORD 'the-gateway';
  GRANT orders_owner TO sallyport;
  GRANT CREATE ON SCHEMA public TO orders_owner`

const TABLES = `
  CREATE SCHEMA apart AUTHORIZATION orders_owner;
  SET ROLE orders_owner;
  CREATE DOMAIN phone AS varchar(12) NOT NULL CHECK (VALUE ~ '^[0-9+]+$');
  CREATE TABLE customers (id serial PRIMARY KEY, name text, email varchar(20) UNIQUE, dropped int, mobile phone, card char(4));
  ALTER TABLE customers DROP COLUMN dropped;
  INSERT INTO customers (name, email, mobile, card) VALUES ('Ada', 'ada@example.com', '+1', '4111'), ('Nobody', NULL, '+2', NULL);
  CREATE TABLE orders (id int PRIMARY KEY, customer int, total numeric);
  INSERT INTO orders VALUES (1, 1, 10), (2, 1, 20);
  CREATE VIEW totals AS SELECT customer, sum(total) AS total FROM orders GROUP BY customer;
  CREATE VIEW contacts AS SELECT id, email AS contact FROM customers;
  CREATE TABLE "Odd ""Name" ("i d" int, "sp ace" text);
  INSERT INTO "Odd ""Name" VALUES (1, 'hidden');
  CREATE TABLE events (at date, who text, what text) PARTITION BY RANGE (at);
  CREATE TABLE events_1 PARTITION OF events FOR VALUES FROM ('2020-01-01') TO ('2030-01-01');
  INSERT INTO events VALUES ('2025-01-01', 'ada', 'came');
  CREATE TABLE tenants (name text, token text);
  ALTER TABLE tenants ENABLE ROW LEVEL SECURITY;
  CREATE POLICY own ON tenants USING (name <> 'secret');
  INSERT INTO tenants VALUES ('acme', 't1'), ('secret', 't2');
  CREATE TABLE apart.things (id int);
  RESET ROLE`

export type Server = { readonly binaries?: string; readonly admin: 'superuser' | 'sallyport' }

export async function startWallScene({ binaries, admin }: Server): Promise<WallScene> {
  const postgres = await startPostgres({ binaries, settings: ['log_statement=all'] })
  const superuser = postgres.admin.replace(/\/postgres$/, '/orders')
  await postgres.query('CREATE DATABASE orders')
  await postgres.query(SETUP, [], superuser)
  await postgres.query(TABLES, [], superuser)
  const login = admin === 'superuser' ? superuser : postgres.url('orders', 'sallyport', 'the-gateway')
  return {
    postgres,
    sql: (text) => postgres.query(text, [], superuser),
    asSuperuser: (work) => withClient(superuser, work),
    open: (options = {}) => openSource(postgres, login, options),
    [Symbol.asyncDispose]: () => postgres[Symbol.asyncDispose](),
  }
}

/** What a dropped database is made anew with. */
export async function recreate(scene: WallScene): Promise<void> {
  await scene.postgres.query('DROP DATABASE orders WITH (FORCE)')
  await scene.postgres.query('CREATE DATABASE orders')
  await scene.sql('GRANT CREATE ON SCHEMA public TO orders_owner')
  await scene.sql(TABLES)
}

const reader: SqlReader = {
  learn: () => undefined,
  read: () => Promise.reject(new Error('not read here')),
  [Symbol.asyncDispose]: async () => undefined,
}

function openSource(postgres: TestPostgres, login: string, options: WallOptions): WallSource {
  const { target: name = 'orders', sensitive = SENSITIVE } = options
  const profile: Profile = { schemas: ['public'], rights: ['select', 'insert', 'update', 'delete'], ...options.profile }
  const url = postgres.url('orders')
  const database = openDatabase({ url, login: new Secret(login) })
  const lease: PostgresLease = { from: 'postgres-role', admin: new Secret(login), memberOf: [], profile }
  const leases = postgresRole({
    target: name,
    url,
    admin: new Secret(login),
    memberOf: [],
    profile,
    installation: '1a2b3c4d',
    clock: systemClock,
    isLive: async () => true,
  })
  const target = postgresTarget({
    name,
    config: {
      url,
      host: '127.0.0.1',
      port: postgres.port,
      database: 'orders',
      lease,
      sensitive,
      detect: [],
      inference: 'none',
      applicationName: 'client',
      tls: { mode: 'disable' },
    },
    leases,
    catalog: catalogSource({ query: database.query, sensitive, clock: systemClock, maxAgeMs: options.maxAgeMs ?? 0 }),
    reader,
  })
  return {
    target,
    leases: target.leases,
    take: (hidden = Object.keys(SENSITIVE), possible) =>
      target.leases.take({
        session: newId<'ses'>('ses', Date.now()),
        identity: { kind: 'Agent', provider: 'agents', subject: 'bot', groups: [], expiresAt: 0 },
        target: name,
        expiresAt: Date.now() + 60_000,
        hidden,
        possible,
      }),
    as: ({ credential: { user, password } }, work) => withClient(postgres.url('orders', user, password.reveal()), work),
    [Symbol.asyncDispose]: async () => {
      await target[Symbol.asyncDispose]()
      await database[Symbol.asyncDispose]()
    },
  }
}

async function withClient<T>(url: string, work: (client: Client) => Promise<T>): Promise<T> {
  const client = new Client({ connectionString: url })
  client.on('error', () => undefined)
  await client.connect()
  try {
    return await work(client)
  } finally {
    await client.end()
  }
}
