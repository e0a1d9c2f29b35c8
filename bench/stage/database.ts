import { startPostgres, type TestPostgres } from '../../test/postgres.ts'

/** The database behind all arms. */
export type Database = AsyncDisposable & {
  readonly postgres: TestPostgres
  readonly version: string
  /** Runs SQL in it as the superuser. */
  readonly query: (sql: string) => Promise<readonly Readonly<Record<string, unknown>>[]>
}

/** The name of the target, of the database, and of pgbouncer's: pgbench is told the same on every arm. */
export const DATABASE = 'orders'
/** Whom the arms without a gateway log in as. It may read what a session's role may. */
export const CLIENT = { user: 'bench', password: 'the-client' }
/** The gateway's own login. */
export const ADMIN = { user: 'sallyport', password: 'the-gateway' }

/** pgbench's scale: 100,000 accounts each. */
export const SCALE = 10

const SETTINGS = ['shared_buffers=512MB', 'jit=off', 'max_wal_size=4GB', 'autovacuum=off']

const ROLES = `
CREATE ROLE orders_writer NOLOGIN;
CREATE ROLE ${CLIENT.user} LOGIN PASSWORD '${CLIENT.password}' IN ROLE orders_writer;
CREATE ROLE ${ADMIN.user} LOGIN CREATEROLE PASSWORD '${ADMIN.password}';
GRANT orders_writer TO ${ADMIN.user} WITH ADMIN TRUE, INHERIT FALSE, SET FALSE;`

/** As `pgbench --initialize` makes it. `filler` counts as sensitive: the statements of pgbench do not ask for it. */
const ACCOUNTS = `
CREATE TABLE pgbench_accounts (aid int NOT NULL, bid int, abalance int, filler char(84)) WITH (fillfactor = 100);
INSERT INTO pgbench_accounts SELECT aid, (aid - 1) / 100000 + 1, 0, '' FROM generate_series(1, ${SCALE} * 100000) AS aid;
ALTER TABLE pgbench_accounts ADD PRIMARY KEY (aid);
CREATE TABLE pgbench_branches (bid int PRIMARY KEY, bbalance int, filler char(88)) WITH (fillfactor = 100);
INSERT INTO pgbench_branches SELECT bid, 0 FROM generate_series(1, ${SCALE}) AS bid;`

/** A wide table to read whole; which of its columns are read makes the kinds of the figure `rows`. */
const wide = (rows: number): string => `
CREATE TABLE customers AS SELECT
  id, (id % 5000) AS shop, (id % 7)::int2 AS rank, (id % 2 = 0) AS active, (id * 1.5)::float4 AS score,
  date '2020-01-01' + id % 2000 AS born, timestamptz '2024-01-01' + id * interval '1 second' AS seen,
  md5(id::text)::uuid AS reference,
  'Customer Number ' || id AS name, 'customer' || id || '@example.com' AS email,
  (4000000000000000 + id)::text AS card, 'Street ' || id % 977 || ', ' || id % 89 || ' Town' AS address,
  'prefers delivery before noon, order ' || id || ' was late' AS notes
FROM generate_series(1, ${rows}) AS id;`

/** PostgreSQL 18 with all that the figures read. `sessions`: how many there may be at once. */
export async function openDatabase(rows: number, sessions: number): Promise<Database> {
  const settings = [...SETTINGS, `max_connections=${sessions}`]
  await using starting = new AsyncDisposableStack()
  const postgres = starting.use(await startPostgres({ settings }))
  await postgres.query(`CREATE DATABASE ${DATABASE}`)
  const superuser = postgres.admin.replace(/\/postgres$/, `/${DATABASE}`)
  const query: Database['query'] = (sql) => postgres.query(sql, undefined, superuser)
  for (const sql of [ROLES, ACCOUNTS, wide(rows), 'GRANT SELECT ON ALL TABLES IN SCHEMA public TO orders_writer'])
    await query(sql)
  await query('VACUUM (ANALYZE, FREEZE)')
  const [{ version } = {}] = await query(`SELECT current_setting('server_version') AS version`)
  const parts = starting.move()
  return { postgres, version: String(version), query, [Symbol.asyncDispose]: () => parts.disposeAsync() }
}
