import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import { after, before, describe, it } from 'node:test'
import { Client } from 'pg'
import { startPostgres } from '../../test/postgres.ts'
import type { TestPostgres } from '../../test/postgres.ts'
import { systemClock } from '../gateway/clock.ts'
import { Fault } from '../gateway/fault.ts'
import { newId } from '../gateway/ids.ts'
import { Secret } from '../gateway/secret.ts'
import type { Lease, LeaseRequest, LeaseSource } from '../grants/lease.ts'
import { postgresRole } from './postgres-role.ts'
import type { PostgresRoleOptions, RoleCredential } from './postgres-role.ts'

/** What docs/guides/postgres-rights.md tells the administrator of a database to run. */
const RIGHTS = {
  modern: `
    GRANT orders_writer TO sallyport WITH ADMIN TRUE, INHERIT FALSE, SET FALSE;
    GRANT orders_owner TO sallyport WITH INHERIT TRUE, SET TRUE;`,
  fifteen: 'GRANT orders_owner TO sallyport;',
}
const SETUP = `
  CREATE ROLE orders_owner NOLOGIN;
  CREATE ROLE orders_writer NOLOGIN;
  CREATE ROLE sallyport LOGIN CREATEROLE PASSWORD 'the admin''s';
  CREATE ROLE nobody_special LOGIN PASSWORD 'plain';
  GRANT CREATE ON DATABASE orders TO orders_owner, orders_writer;
  GRANT CREATE, USAGE ON SCHEMA public TO orders_owner, orders_writer;
  CREATE TABLE customers (id int, email text);
  INSERT INTO customers VALUES (1, 'ann@example.com');
  ALTER TABLE customers OWNER TO orders_owner;
  GRANT SELECT, INSERT ON customers TO orders_writer;`

type Scene = {
  readonly postgres: TestPostgres
  readonly superuser: string
  source(options?: Partial<PostgresRoleOptions>): LeaseSource<RoleCredential>
  /** Connects as the lease's role. */
  login(lease: Lease<RoleCredential>): Promise<Client>
  exists(role: string): Promise<boolean>
  sql(text: string, values?: readonly unknown[]): Promise<readonly Readonly<Record<string, unknown>>[]>
}

async function makeScene(rights: string, binaries?: string): Promise<Scene> {
  const postgres = await startPostgres({
    settings: ['log_statement=all', 'log_min_duration_statement=0', 'log_parameter_max_length=-1'],
    ...(binaries === undefined ? {} : { binaries }),
  })
  const superuser = postgres.admin.replace(/\/postgres$/, '/orders')
  await postgres.query('CREATE DATABASE orders')
  await postgres.query(SETUP + rights, [], superuser)
  const sql: Scene['sql'] = (text, values = []) => postgres.query(text, values, superuser)
  return {
    postgres,
    superuser,
    sql,
    source: (options) => postgresRole({ ...settings(postgres), ...options }),
    login: async ({ credential }) => {
      const client = new Client({
        connectionString: postgres.url('orders', credential.user, credential.password.reveal()),
      })
      client.on('error', () => {})
      await client.connect()
      return client
    },
    exists: async (role) => (await sql('SELECT FROM pg_roles WHERE rolname = $1', [role])).length === 1,
  }
}

function settings(postgres: TestPostgres): PostgresRoleOptions {
  return {
    target: 'orders',
    url: postgres.url('orders'),
    admin: new Secret(postgres.url('ignored', 'sallyport', `the admin's`)),
    memberOf: ['orders_writer'],
    owner: 'orders_owner',
    installation: '1a2b3c4d',
    clock: systemClock,
    isLive: async () => false,
  }
}

function request(subject = 'bot', lifeMs = 60_000): LeaseRequest {
  const identity = { kind: 'Agent', provider: 'agents', subject, groups: [], expiresAt: 0 } as const
  return {
    session: newId<'ses'>('ses', Date.now()),
    identity,
    target: 'orders',
    expiresAt: Date.now() + lifeMs,
    hidden: [],
  }
}

function lifeOfARole(makeIt: () => Promise<Scene>): void {
  let scene: Scene
  let source: LeaseSource<RoleCredential>
  before(async () => {
    scene = await makeIt()
    source = scene.source()
  })
  after(async () => {
    await source[Symbol.asyncDispose]()
    await scene.postgres[Symbol.asyncDispose]()
  })

  it('has all the rights it checks for, and leaves no trace of checking', async () => {
    assert.deepEqual(await source.check(), [])
    assert.deepEqual(await scene.sql(`SELECT rolname FROM pg_roles WHERE rolname LIKE 'sp\\_%'`), [])
  })

  it('makes a role that works during the lease only', async () => {
    const lease = await source.take(request())
    assert.ok(await scene.exists(lease.name))
    const client = await scene.login(lease)
    assert.equal((await client.query('SELECT email FROM customers')).rowCount, 1)
    await client.end()
    assert.deepEqual(await lease.revoke(), { verified: true })
    assert.equal(await scene.exists(lease.name), false)
    assert.equal(lease.credential.password.reveal(), '')
  })

  it('makes a role with no more than the rights of its groups', async () => {
    const lease = await source.take(request())
    const [role] = await scene.sql('SELECT * FROM pg_roles WHERE rolname = $1', [lease.name])
    const attributes = ['rolsuper', 'rolcreaterole', 'rolcreatedb', 'rolreplication', 'rolbypassrls']
    for (const attribute of attributes) assert.equal(role?.[attribute], false, attribute)
    assert.equal(role?.['rolconnlimit'], 2)
    const client = await scene.login(lease)
    await assert.rejects(client.query('DELETE FROM customers'), { code: '42501' })
    await assert.rejects(client.query('SET ROLE orders_owner'), { code: '42501' })
    await client.end()
    await lease.revoke()
  })

  it('ends a connection whose statement is running, and waits until it is gone', async () => {
    const lease = await source.take(request())
    const client = await scene.login(lease)
    const running = assert.rejects(client.query('SELECT pg_sleep(600)'), { code: '57P01' })
    await delay(50)
    assert.deepEqual(await lease.revoke(), { verified: true })
    await running
    assert.deepEqual(await scene.sql('SELECT FROM pg_stat_activity WHERE usename = $1', [lease.name]), [])
  })

  it('hands what the session created to the owner', async () => {
    const lease = await source.take(request())
    const client = await scene.login(lease)
    await client.query(`
      CREATE SCHEMA made; CREATE TABLE made.things AS SELECT 1 AS id; CREATE TYPE made.colour AS ENUM ('red');
      CREATE FUNCTION made.one() RETURNS int LANGUAGE sql AS 'SELECT 1'; CREATE SEQUENCE made.counter;
      CREATE VIEW made.seen AS SELECT id FROM made.things; GRANT SELECT ON made.things TO nobody_special;
      CREATE TABLE public.left_over (id int); CREATE FUNCTION public.two() RETURNS int LANGUAGE sql AS 'SELECT 2';
      ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO nobody_special; CREATE TEMP TABLE gone (id int);
      SELECT lo_create(4711)`)
    await client.query('BEGIN; LOCK TABLE customers, made.things IN ROW EXCLUSIVE MODE')
    assert.deepEqual(await lease.revoke(), { verified: true })
    await client.end()
    const owners = await scene.sql(`
      SELECT relname AS name, relowner::regrole::text AS owner FROM pg_class
      WHERE relname IN ('things', 'counter', 'seen', 'left_over', 'gone')
      UNION ALL SELECT proname, proowner::regrole::text FROM pg_proc WHERE proname IN ('one', 'two')
      UNION ALL SELECT typname, typowner::regrole::text FROM pg_type WHERE typname = 'colour'
      UNION ALL SELECT nspname, nspowner::regrole::text FROM pg_namespace WHERE nspname = 'made'
      UNION ALL SELECT 'large object', lomowner::regrole::text FROM pg_largeobject_metadata WHERE oid = 4711`)
    assert.equal(owners.length, 9)
    assert.deepEqual([...new Set(owners.map((row) => row['owner']))], ['orders_owner'])
    await scene.sql(`DROP SCHEMA made CASCADE; DROP TABLE left_over; DROP FUNCTION two; SELECT lo_unlink(4711)`)
  })

  it('drops what the session created where there is no owner', async () => {
    await using ownerless = scene.source({ owner: undefined })
    const lease = await ownerless.take(request())
    const client = await scene.login(lease)
    await client.query('CREATE TABLE public.short_lived (id int)')
    await client.end()
    assert.deepEqual(await lease.revoke(), { verified: true })
    assert.deepEqual(await scene.sql(`SELECT FROM pg_class WHERE relname = 'short_lived'`), [])
  })

  it('revokes once for all who ask at the same time, and again without harm', async () => {
    const lease = await source.take(request())
    const answers = await Promise.all([lease.revoke(), lease.revoke(), lease.revoke()])
    assert.deepEqual(
      [...answers, await lease.revoke()],
      Array.from({ length: 4 }, () => ({ verified: true })),
    )
  })

  it('stands twenty leases taken and revoked at once', async () => {
    const names = await Promise.all(
      Array.from({ length: 20 }, async (_, number) => {
        const lease = await source.take(request(`bot-${number}`))
        const client = await scene.login(lease)
        await client.query('SELECT email FROM customers')
        await client.end()
        assert.deepEqual(await lease.revoke(), { verified: true })
        return lease.name
      }),
    )
    assert.equal(new Set(names).size, 20)
    assert.deepEqual(await scene.sql(`SELECT rolname FROM pg_roles WHERE rolname LIKE 'sp\\_%'`), [])
  })

  it('lets nobody log in once VALID UNTIL has passed', async () => {
    const lease = await source.take(request('bot', -1_000))
    await assert.rejects(scene.login(lease), { code: '28P01' })
    await lease.revoke()
  })

  it('writes hostile identities into the comment as data', async () => {
    for (const subject of [`'; DROP ROLE nobody_special; --`, `\\'; SELECT 1`, 'a\0b', '\ud83d', 'x'.repeat(10_000)]) {
      const lease = await source.take(request(subject))
      const [row] = await scene.sql(
        `SELECT shobj_description(oid, 'pg_authid') AS comment FROM pg_roles WHERE rolname = $1`,
        [lease.name],
      )
      const { who } = JSON.parse(String(row?.['comment']).slice('sallyport '.length)) as { who: readonly string[] }
      assert.ok(`Agent agents/${subject}`.startsWith(who[0]!.split('…')[0]!))
      assert.deepEqual(await lease.revoke(), { verified: true })
    }
    assert.ok(await scene.exists('nobody_special'))
  })

  it('never shows the server a password, so its log has none', async () => {
    const lease = await source.take(request())
    const password = lease.credential.password.reveal()
    assert.match(password, /^[\w-]{32}$/)
    await lease.revoke()
    const log = scene.postgres.logLines().join('\n')
    assert.ok(log.includes(`CREATE ROLE "${lease.name}"`))
    assert.equal(log.includes(password), false)
  })
}

describe('postgresRole on PostgreSQL 18', () => {
  lifeOfARole(() => makeScene(RIGHTS.modern))
})

const FIFTEEN = '/usr/lib/postgresql/15/bin'
describe(
  'postgresRole on PostgreSQL 15',
  { skip: existsSync(FIFTEEN) ? false : 'PostgreSQL 15 is not installed' },
  () => {
    lifeOfARole(() => makeScene(RIGHTS.fifteen, FIFTEEN))
  },
)

describe('postgresRole when things go wrong', () => {
  let scene: Scene
  before(async () => (scene = await makeScene(RIGHTS.modern)))
  after(() => scene.postgres[Symbol.asyncDispose]())

  it('sweeps the orphans of its own installation only', async () => {
    await using dead = scene.source()
    await using other = scene.source({ installation: '99999999' })
    const [orphan, living, foreign] = [request(), request(), request()]
    const orphanLease = await dead.take(orphan)
    const livingLease = await dead.take(living)
    const foreignLease = await other.take(foreign)
    await scene.sql(`CREATE ROLE sp_1a2b3c4d_00000000000000000000000000000001`)
    await using source = scene.source({ isLive: async (session) => session === living.session })
    const held = await source.take(request())
    assert.deepEqual(await source.sweep(), [{ name: orphanLease.name, revocation: { verified: true } }])
    assert.equal(await scene.exists(orphanLease.name), false)
    for (const { name } of [livingLease, foreignLease, held]) assert.ok(await scene.exists(name), name)
    assert.ok(await scene.exists('sp_1a2b3c4d_00000000000000000000000000000001'))
    for (const lease of [livingLease, foreignLease, held]) assert.deepEqual(await lease.revoke(), { verified: true })
    await scene.sql(`DROP ROLE sp_1a2b3c4d_00000000000000000000000000000001`)
  })

  it('leaves a role that it cannot drop without login, rights and connections, and drops it later', async () => {
    await using source = scene.source({ isLive: async () => true })
    const lease = await source.take(request())
    const client = await scene.login(lease)
    await client.query('CREATE TABLE public.kept (id int)')
    await scene.sql('REVOKE orders_owner FROM sallyport')
    const revocation = await lease.revoke()
    assert.equal(revocation.verified, false)
    assert.match(revocation.error ?? '', /permission denied/)
    await assert.rejects(client.query('SELECT 1'))
    const [role] = await scene.sql(
      `SELECT rolcanlogin, (SELECT count(*)::int FROM pg_auth_members WHERE member = r.oid) AS groups
       FROM pg_roles r WHERE rolname = $1`,
      [lease.name],
    )
    assert.deepEqual(role, { rolcanlogin: false, groups: 0 })
    await scene.sql('GRANT orders_owner TO sallyport WITH INHERIT TRUE, SET TRUE')
    assert.deepEqual(await source.sweep(), [{ name: lease.name, revocation: { verified: true } }])
    assert.equal(await scene.exists(lease.name), false)
    assert.deepEqual(await source.sweep(), [])
    await scene.sql('DROP TABLE kept')
  })

  it('makes no role at all when a part of it fails', async () => {
    await using source = scene.source({ memberOf: ['orders_writer', 'no_such_role'] })
    await assert.rejects(source.take(request()), (error) => error instanceof Fault && error.code === 'lease')
    assert.deepEqual(await scene.sql(`SELECT rolname FROM pg_roles WHERE rolname LIKE 'sp\\_%'`), [])
  })

  it('names every right that is missing, with the SQL that gives it', async () => {
    const login = (user: string, password: string): Partial<PostgresRoleOptions> => ({
      admin: new Secret(scene.postgres.url('orders', user, password)),
    })
    await using plain = scene.source(login('nobody_special', 'plain'))
    assert.deepEqual(await plain.check(), [{ lacks: 'CREATEROLE', remedy: 'ALTER ROLE "nobody_special" CREATEROLE;' }])
    await scene.sql(
      'ALTER ROLE nobody_special CREATEROLE; REVOKE CONNECT ON DATABASE orders FROM PUBLIC; GRANT CONNECT ON DATABASE orders TO nobody_special',
    )
    const lacks = await plain.check()
    assert.deepEqual(
      lacks.map((lack) => lack.remedy),
      [
        'GRANT "orders_writer" TO "nobody_special" WITH ADMIN TRUE, INHERIT FALSE, SET FALSE;',
        'GRANT "orders_owner" TO "nobody_special" WITH INHERIT TRUE, SET TRUE;',
        'GRANT CONNECT ON DATABASE "orders" TO "orders_writer";',
      ],
    )
    await scene.sql(lacks.map((lack) => lack.remedy).join('\n'))
    assert.deepEqual(await plain.check(), [])
    const lease = await plain.take(request())
    assert.deepEqual(await lease.revoke(), { verified: true })
    await scene.sql('GRANT CONNECT ON DATABASE orders TO PUBLIC')
  })

  it('asks for an owner that can own things wherever sessions can create them', async () => {
    await scene.sql('CREATE SCHEMA "a b"; GRANT CREATE ON SCHEMA "a b" TO orders_writer')
    await using source = scene.source()
    assert.deepEqual(await source.check(), [
      {
        lacks: 'the right of "orders_owner" to own what sessions create in SCHEMA "a b"',
        remedy: 'GRANT CREATE ON SCHEMA "a b" TO "orders_owner";',
      },
    ])
    await scene.sql('DROP SCHEMA "a b"')
  })

  it('runs nothing that somebody planted in the search path of its login', async () => {
    await scene.sql(`
      CREATE FUNCTION public.starts_with(text, text) RETURNS boolean LANGUAGE plpgsql AS 'BEGIN RAISE ''planted''; END';
      CREATE FUNCTION public.shobj_description(oid, name) RETURNS text LANGUAGE sql AS 'SELECT ''planted''';
      CREATE FUNCTION public.current_setting(text) RETURNS text LANGUAGE plpgsql AS 'BEGIN RAISE ''planted''; END';
      CREATE VIEW public.pg_roles AS SELECT 1::oid AS oid, 'planted' AS rolname WHERE false;
      ALTER ROLE sallyport SET search_path = public, pg_catalog`)
    await using source = scene.source()
    assert.deepEqual(await source.check(), [])
    const lease = await source.take(request())
    await using other = scene.source()
    assert.deepEqual(await other.sweep(), [{ name: lease.name, revocation: { verified: true } }])
    assert.equal(await scene.exists(lease.name), false)
    await scene.sql(`ALTER ROLE sallyport RESET search_path; DROP VIEW public.pg_roles;
      DROP FUNCTION public.starts_with, public.shobj_description, public.current_setting`)
  })

  it('says so when the target cannot be reached, and shows no password', async () => {
    await using wrong = scene.source({ admin: new Secret(scene.postgres.url('orders', 'sallyport', 'canary-secret')) })
    const [lack] = await wrong.check()
    assert.match(lack?.lacks ?? '', /^a connection to target orders as "sallyport": password authentication failed/)
    const error = await wrong.take(request()).catch((thrown: unknown) => thrown)
    assert.ok(error instanceof Fault && error.cause instanceof Error)
    assert.equal(`${error.stack}${error.cause.stack}${JSON.stringify([lack, error])}`.includes('canary-secret'), false)
    await assert.rejects(wrong.sweep(), (thrown) => thrown instanceof Fault && thrown.code === 'target')
  })

  it('never throws from revoke, even with the target gone', async () => {
    await using source = scene.source({ clock: { ...systemClock, sleep: async () => {} } })
    const lease = await source.take(request())
    await scene.postgres[Symbol.asyncDispose]()
    const revocation = await lease.revoke()
    assert.equal(revocation.verified, false)
    assert.match(revocation.error ?? '', /ECONNREFUSED|terminat/)
  })
})
