import assert from 'node:assert/strict'
import { once, type EventEmitter } from 'node:events'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import type { Client, DatabaseError } from 'pg'
import { makeFolders } from '../compat/regress/folders.ts'
import { runScript, type Door } from '../compat/regress/script.ts'
import { runPsql, WITHOUT_PSQL } from './clients/psql.ts'
import { startScene, type Scene } from './scene.ts'
import { ADMIN_PASSWORD } from './shop.ts'

const EVERYTHING = `
@id("connect") permit (principal, action == Action::"connect", resource);
@id("everything") permit (principal, action, resource);`
const WITHOUT_WALLS = `
@id("without-walls") permit (principal in Group::"trusted", action == Action::"sql.privileged", resource);`

/** A login of the operator's own, and nothing hidden. */
const OPEN = { lease: { password: 'file:./admin-url' }, sensitive: {}, detect: [] }

/** What walls stand before elsewhere: one statement each. */
const PRIVILEGED = [
  `DO $$ BEGIN END $$`,
  `CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'`,
  `CREATE RULE r AS ON DELETE TO orders DO INSTEAD NOTHING`,
  `CREATE TRIGGER t BEFORE UPDATE ON orders FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()`,
  `SET ROLE orders_owner`,
  `SET row_security = off`,
  `SELECT set_config('ro' || 'le', 'none', false)`,
  `SELECT rolpassword FROM pg_authid`,
  `UPDATE pg_class SET relname = relname WHERE false`,
  `COPY orders TO '/nonexistent/orders'`,
  `COPY orders TO PROGRAM 'true'`,
  `ALTER ROLE orders_owner SET work_mem = '1MB'`,
  `COMMIT PREPARED 'none'`,
  `EXECUTE nobody_made_this`,
]

/** Scripts of which psql has to print the same either way. */
const SCRIPTS: Readonly<Record<string, string>> = {
  'code, and the texts of errors in it': `
CREATE FUNCTION halve(n int) RETURNS int LANGUAGE plpgsql AS $$ BEGIN RAISE NOTICE 'halving %', n;
  IF n % 2 = 1 THEN RAISE EXCEPTION 'odd: %', n USING DETAIL = 'it has a rest', HINT = 'try another'; END IF;
  RETURN n / 2; END $$;
SELECT halve(8), halve(6);
SELECT halve(halve(6));
DO $$ DECLARE n int := 4; BEGIN RAISE WARNING 'before'; PERFORM halve(n); EXECUTE 'SELECT halve(7)'; END $$;
CREATE TABLE kept (id int PRIMARY KEY, n int CHECK (n > 0));
CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE NOTICE '% of %', TG_OP, NEW; RETURN NEW; END $$;
CREATE TRIGGER note BEFORE INSERT OR UPDATE ON kept FOR EACH ROW EXECUTE FUNCTION note();
INSERT INTO kept VALUES (1, 2), (2, -1);
INSERT INTO kept VALUES (1, 2), (2, 1) RETURNING *;
CREATE RULE twice AS ON DELETE TO kept DO INSTEAD UPDATE kept SET n = n + 1 WHERE id = OLD.id RETURNING OLD.*;
DELETE FROM kept RETURNING *;
CREATE OPERATOR === (LEFTARG = int, RIGHTARG = int, FUNCTION = int4eq);
SELECT id === 1 FROM kept;`,
  'roles, settings and names within a transaction': `
CREATE ROLE walls_reader;
CREATE TABLE rooms (name text);
BEGIN; SET LOCAL ROLE walls_reader; SELECT current_user; SELECT * FROM rooms; COMMIT;
BEGIN; ALTER TABLE rooms RENAME TO halls; INSERT INTO halls VALUES ('east'); SELECT * FROM rooms; COMMIT;
BEGIN; ALTER TABLE rooms RENAME TO halls; INSERT INTO halls VALUES ('west') RETURNING *; COMMIT;
BEGIN; CREATE VIEW seen AS SELECT upper(name) FROM halls; SELECT * FROM seen; ROLLBACK; SELECT * FROM seen;
SET session_replication_role = replica; SHOW session_replication_role; RESET session_replication_role;
SET SESSION AUTHORIZATION walls_reader; SELECT session_user; DROP TABLE halls; RESET SESSION AUTHORIZATION;
SELECT relname FROM pg_class WHERE relname = 'halls' FOR UPDATE;
SELECT count(*) >= 0 FROM pg_stats;
DROP TABLE halls; DROP ROLE walls_reader;`,
  'cursors, prepared statements and two-phase commit': `
SELECT name FROM pg_prepared_statements; BEGIN; SELECT name FROM pg_cursors; COMMIT;
CREATE FUNCTION opened(c refcursor) RETURNS refcursor LANGUAGE plpgsql AS
  $$ BEGIN OPEN c FOR SELECT g FROM generate_series(1, 3) g; RETURN c; END $$;
BEGIN; SELECT opened('mine'); FETCH 1 FROM mine; MOVE mine; FETCH mine; CLOSE mine; FETCH mine; ROLLBACK;
EXECUTE never_prepared(1);
PREPARE one(int) AS SELECT $1 + 1; EXECUTE one(2); EXECUTE one('x'); DEALLOCATE one; EXECUTE one(3);
BEGIN; CREATE TABLE late (x int); PREPARE TRANSACTION 'later';
SELECT gid FROM pg_prepared_xacts; SELECT relname FROM pg_class WHERE relname = 'late';
COMMIT PREPARED 'later'; SELECT * FROM late; DROP TABLE late; ROLLBACK PREPARED 'never';`,
  'errors with their places, and what psql does by itself': `
SELEKT 1;
SELECT 1 FROM (SELECT 2 x,) y;
DROP OPERATOR === (int4);
CREATE PUBLICATION news FOR orders;
CREATE POLICY p ON orders AS ODD;
BEGIN; SELECT 'naïve' WHERE; SELECT 2; ROLLBACK;
SELECT nowhere FROM orders;
SELECT 1 / 0 AS "n", 'x'::int;
COPY orders FROM '/nonexistent/orders';
COPY orders TO STDOUT (FORMAT nothing);
COPY orders (id) TO STDOUT (ENCODING 'LATIN1');
CREATE TABLE pairs (a int, b text);
COPY pairs FROM STDIN;
1	one
x	two
\\.
COPY pairs FROM STDIN (FORMAT csv, HEADER);
a,b
3,"a ""quoted"" one"
\\.
\\copy (SELECT * FROM pairs) TO STDOUT (FORMAT csv)
SELECT format('SELECT %s', g) FROM generate_series(1, 2) g \\gexec
SELECT 3 AS three \\gset
SELECT :three \\; SELECT nowhere;
LISTEN bell; NOTIFY bell, 'rung';
\\lo_import /etc/hostname
\\lo_unlink 1
\\d pairs`,
}

describe('a target that hides nothing, with a login of the operator’s own', () => {
  let scene: Scene
  before(async () => {
    const settings = ['max_prepared_transactions=2', 'log_statement=all']
    scene = await startScene({ policies: EVERYTHING + WITHOUT_WALLS, target: OPEN, settings })
    await scene.postgres.query('ALTER ROLE sallyport SUPERUSER')
    await scene.postgres.query('CREATE DATABASE direct TEMPLATE orders')
  })
  after(() => scene[Symbol.asyncDispose]())
  const trusted = (): Promise<string> => scene.token({ groups: ['trusted'] })

  it('asks the policy for sql.privileged where a wall stands elsewhere, and a permit for everything is none', async () => {
    const client = await scene.connect()
    for (const sql of PRIVILEGED)
      await assert.rejects(client.query(sql), { code: '42501', message: /No rule permits .*sql\.privileged/ }, sql)
    assert.equal((await client.query('SELECT id FROM orders')).rowCount, 3)
    await client.end()
  })

  for (const [about, script] of Object.entries(SCRIPTS)) {
    it(`prints what the server itself prints: ${about}`, { skip: WITHOUT_PSQL }, async () => {
      const direct = { port: scene.postgres.port, user: 'sallyport', password: ADMIN_PASSWORD, database: 'direct' }
      const through = {
        port: scene.gateway.postgres.port,
        user: 'agent',
        password: await trusted(),
        database: 'orders',
      }
      const expected = await print(script, direct)
      assert.equal(await print(script, through), expected)
      assert.match(expected, /ERROR:/)
    })
  }

  it('keeps the settings that texts are read by, whatever the policy permits', async () => {
    const client = await scene.connect(await trusted())
    for (const sql of [
      `SET standard_conforming_strings = off`,
      `SET backslash_quote = on`,
      `SET client_encoding = 'SJIS'`,
      `SELECT set_config('standard_conforming_strings', 'off', false)`,
    ])
      await assert.rejects(client.query(sql), { code: '42501', message: /may not be changed here/ }, sql)
    await client.end()
  })

  for (const [name, value] of [
    ['standard_conforming_strings', 'off'],
    ['client_encoding', 'LATIN1'],
  ]) {
    it(`ends a session whose code has changed ${name}`, async () => {
      const client = await scene.connect(await trusted())
      const ended = new Promise((resolve) => client.once('end', resolve))
      await client.query(`DO $$ BEGIN PERFORM set_config('${name}', '${value}', false); END $$`).catch(() => undefined)
      await ended
      await assert.rejects(client.query('SELECT 1'))
    })
  }

  it('says once that the target has ended a session, in the words of the target', async () => {
    const client = await scene.connect(await trusted())
    const errors: unknown[] = []
    client.on('error', () => undefined)
    const { connection } = client as unknown as { readonly connection: EventEmitter }
    connection.on('errorMessage', ({ code, severity }: DatabaseError) => errors.push([severity, code]))
    const ended = once(connection, 'end')
    await assert.rejects(client.query('SELECT pg_terminate_backend(pg_backend_pid())'), { code: '57P01' })
    await ended
    assert.deepEqual(errors, [['FATAL', '57P01']])
  })

  it('does not read the catalog again for relations of the system', async () => {
    const client = await scene.connect()
    await client.query('SELECT 1 FROM orders')
    const readings = (): number =>
      scene.postgres.logLines().filter((line) => line.includes('WITH relation AS') || line.includes('of the system'))
        .length
    const before = readings()
    for (const from of ['pg_class', 'pg_catalog.pg_attribute', 'information_schema.tables'])
      await client.query(`SELECT count(*) AS "of the system" FROM ${from}`)
    await client.end()
    assert.equal(readings() - before, 3)
  })

  it('records a call outside SQL with its values', { skip: WITHOUT_PSQL }, async () => {
    const options = { port: scene.gateway.postgres.port, password: await trusted() }
    await runPsql(options, `\\lo_unlink 4711`)
    const texts = (await scene.records()).map((entry) => JSON.stringify(entry))
    assert.ok(texts.some((text) => text.includes('FunctionCall lo_unlink') && text.includes('4711')))
  })
})

describe('walls', () => {
  for (const [about, target] of Object.entries({
    'a column is sensitive': { lease: OPEN.lease, sensitive: { pii: ['public.customers.email'] }, detect: [] },
    'a detector is on': { lease: OPEN.lease, sensitive: {}, detect: ['email'] },
    'the lease is a role of the gateway’s own': { sensitive: {}, detect: [] },
  })) {
    it(`stand whatever the policy permits where ${about}`, async () => {
      await using scene = await startScene({ policies: EVERYTHING + WITHOUT_WALLS, target })
      const client: Client = await scene.connect(await scene.token({ groups: ['trusted'] }))
      for (const sql of PRIVILEGED) {
        const code = sql.startsWith('EXECUTE') ? 'SP007' : '42501'
        await assert.rejects(client.query(sql), (error: Error & { code?: string }) => {
          assert.deepEqual([error.code, error.message.includes('sql.privileged')], [code, false], sql)
          return true
        })
      }
      await client.end()
    })
  }
})

/** What psql prints of a script, but for the numbers that a server gives by itself. */
async function print(script: string, door: Omit<Door, 'folders'>): Promise<string> {
  const folders = await makeFolders(undefined)
  try {
    const file = join(folders.source, 'script.sql')
    await writeFile(file, script)
    const printed = await runScript(file, { ...door, folders }, join(folders.printed, 'script.out'))
    const text = await readFile(printed.file, 'utf8')
    return text
      .replaceAll(/lo_import \d+/g, 'lo_import OID')
      .replaceAll(/process with PID \d+/g, 'process with PID PID')
  } finally {
    await folders[Symbol.asyncDispose]()
  }
}
