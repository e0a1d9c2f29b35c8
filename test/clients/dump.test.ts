import assert from 'node:assert/strict'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import type { Scene } from '../scene.ts'
import { ADMIN_PASSWORD } from '../shop.ts'
import { runClient, startOpenScene, waysTo, type Run, type Way } from './both-ways.ts'
import { DEBIAN, POSTGRES18 } from './programs.ts'

const TABLES = 300

/** More tables than a small bound, and one of each of the other things that a dump has. */
const CONTENTS = `
  CREATE ROLE sallyport LOGIN PASSWORD '${ADMIN_PASSWORD}';
  CREATE TABLE orders (id int PRIMARY KEY, total numeric);
  INSERT INTO orders VALUES (1, 40.5), (2, 99);
  DO $$ BEGIN
    FOR n IN 1..${TABLES} LOOP
      EXECUTE format('CREATE TABLE stock_%s (id int PRIMARY KEY, what text)', n);
      EXECUTE format('INSERT INTO stock_%s VALUES (1, %L)', n, E'tab\\t and \\\\ ' || n);
    END LOOP;
  END $$;
  CREATE VIEW busy AS SELECT id, total FROM orders WHERE total > 50;
  CREATE MATERIALIZED VIEW totals AS SELECT sum(total) FROM orders;
  CREATE SEQUENCE numbers START 7;
  CREATE TYPE mood AS ENUM ('good', 'bad');
  CREATE DOMAIN positive AS int CHECK (VALUE > 0);
  CREATE INDEX ON stock_1 (lower(what));
  COMMENT ON TABLE stock_1 IS 'é😀';
  CREATE FUNCTION twice(int) RETURNS int LANGUAGE sql AS 'SELECT $1 * 2';`

for (const programs of [DEBIAN, POSTGRES18]) {
  describe(`pg_dump and pg_restore of ${programs.name}`, { skip: programs.missing('pg_dump', 'pg_restore') }, () => {
    let scene: Scene
    let ways: { readonly direct: Way; readonly through: Way }
    before(async () => {
      scene = await startOpenScene({ binaries: programs.server, sql: CONTENTS })
      ways = await waysTo(scene)
    })
    after(() => scene?.[Symbol.asyncDispose]())

    const dump = (way: Way, ...args: readonly string[]): Promise<Run> =>
      runClient(programs.path('pg_dump'), ['--enable-row-security', ...args], way)
    /** The key of `\\restrict` is another one each time. */
    const plain = ({ code, output }: Run): Run => ({
      code,
      output: output.replaceAll(/^(\\(un)?restrict) \w+$/gm, '$1'),
    })

    it('lock every table there is in one statement', async () => {
      const client = await scene.connect()
      await client.query('BEGIN')
      const tables = Array.from({ length: TABLES }, (_, place) => `public.stock_${place + 1}`)
      await client.query(`LOCK TABLE ${tables.join(', ')} IN ACCESS SHARE MODE`)
      const { rows } = await client.query(
        "SELECT count(*)::int FROM pg_locks WHERE mode = 'AccessShareLock' AND relation > 16384",
      )
      assert.ok(rows[0].count >= TABLES)
      await client.query('COMMIT')
      await client.end()
    })

    it('dump what they dump directly, a database of many tables', async () => {
      const direct = plain(await dump(ways.direct))
      assert.equal(direct.output.match(/^COPY public\.stock_/gm)?.length, TABLES)
      const through = plain(await dump(ways.through))
      assert.equal(through.output, direct.output)
      assert.equal(through.code, 0)
    })

    it('restore what was dumped, some tables of it', async () => {
      const before = plain(await dump(ways.direct))
      const file = join(scene.directory, 'orders.dump')
      const some = ['--exclude-table', 'public.stock_??*']
      assert.deepEqual(await dump(ways.through, '-Fc', '-f', file, ...some), { code: 0, output: '' })
      const args = ['--clean', '--if-exists', '--exit-on-error', '-d', 'orders', file]
      assert.deepEqual(await runClient(programs.path('pg_restore'), args, ways.through), { code: 0, output: '' })
      assert.deepEqual(plain(await dump(ways.direct)), before)
    })
  })
}
