import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { COMMANDS } from './commands.ts'
import { DEFINITIONS } from './definitions.ts'
import { readAt, readOne, touchesOf } from './fixtures.ts'
import type { ReadRequest } from './reader.ts'

const V = 'clinic/public.visits'

/** The alternatives of `stmt` in PostgreSQL 18's gram.y, but for the five kinds of queries. */
const GRAMMAR = `AlterCollationStmt AlterDatabaseRefreshCollStmt AlterDatabaseSetStmt AlterDatabaseStmt
  AlterDefaultPrivilegesStmt AlterDomainStmt AlterEnumStmt AlterEventTrigStmt AlterExtensionContentsStmt
  AlterExtensionStmt AlterFdwStmt AlterForeignServerStmt AlterFunctionStmt AlterObjectDependsStmt AlterObjectSchemaStmt
  AlterOpFamilyStmt AlterOperatorStmt AlterOwnerStmt AlterPolicyStmt AlterPublicationStmt AlterRoleSetStmt AlterRoleStmt
  AlterSeqStmt AlterStatsStmt AlterSubscriptionStmt AlterSystemStmt AlterTSConfigurationStmt AlterTSDictionaryStmt
  AlterTableMoveAllStmt AlterTableSpaceOptionsStmt AlterTableStmt AlterTypeStmt AlterUserMappingStmt CallStmt
  CheckPointStmt ClosePortalStmt ClusterStmt CommentStmt CompositeTypeStmt ConstraintsSetStmt CopyStmt CreateAmStmt
  CreateCastStmt CreateConversionStmt CreateDomainStmt CreateEnumStmt CreateEventTrigStmt CreateExtensionStmt
  CreateFdwStmt CreateForeignServerStmt CreateForeignTableStmt CreateFunctionStmt CreateOpClassStmt CreateOpFamilyStmt
  CreatePLangStmt CreatePolicyStmt CreatePublicationStmt CreateRangeStmt CreateRoleStmt CreateSchemaStmt CreateSeqStmt
  CreateStatsStmt CreateStmt CreateSubscriptionStmt CreateTableAsStmt CreateTableSpaceStmt CreateTransformStmt
  CreateTrigStmt CreateUserMappingStmt CreatedbStmt DeallocateStmt DeclareCursorStmt DefineStmt DiscardStmt DoStmt
  DropOwnedStmt DropRoleStmt DropStmt DropSubscriptionStmt DropTableSpaceStmt DropUserMappingStmt DropdbStmt ExecuteStmt
  ExplainStmt FetchStmt GrantRoleStmt GrantStmt ImportForeignSchemaStmt IndexStmt ListenStmt LoadStmt LockStmt
  NotifyStmt PrepareStmt ReassignOwnedStmt RefreshMatViewStmt ReindexStmt RenameStmt RuleStmt SecLabelStmt
  TransactionStmt TruncateStmt UnlistenStmt VacuumStmt VariableSetStmt VariableShowStmt ViewStmt`.split(/\s+/)

describe('the table of statements', () => {
  it('has every statement of the grammar, and nothing else', () => {
    assert.deepEqual(Object.keys({ ...DEFINITIONS, ...COMMANDS }).sort(), GRAMMAR.sort())
  })
})

const TOUCHES: readonly (readonly [text: string, ...touches: string[]])[] = [
  ['SELECT 1', 'sql.select clinic'],
  ['TABLE visits', `sql.select ${V}`],
  ['SELECT * FROM visits FOR UPDATE', `sql.select ${V} /lock=update`],
  ['INSERT INTO visits VALUES (1)', `sql.insert ${V}`],
  ['INSERT INTO visits VALUES (1) RETURNING id', `sql.insert ${V}`, `sql.select ${V}`],
  ['INSERT INTO visits VALUES (1) ON CONFLICT (id) DO UPDATE SET cost = 1', `sql.insert ${V}`, `sql.update ${V}`],
  ['INSERT INTO visits VALUES (1) ON CONFLICT DO NOTHING', `sql.insert ${V}`],
  ['UPDATE visits SET cost = 1 WHERE id = 1', `sql.update ${V}`],
  ['DELETE FROM visits WHERE id = 1', `sql.delete ${V}`],
  ['TRUNCATE visits', `sql.truncate ${V} unbounded`],
  ['WITH d AS (DELETE FROM visits WHERE id = 1) SELECT 1', `sql.delete ${V}`],
  ['SELECT 1 INTO t', 'sql.create clinic/public /kind=table /name=t'],
  [
    'CREATE TABLE t (id int DEFAULT purge())',
    'sql.create clinic/public /kind=table /name=t',
    'sql.call clinic /function=purge',
  ],
  ['CREATE TEMP TABLE t AS TABLE visits', 'sql.create clinic/pg_temp /kind=table /name=t', `sql.select ${V}`],
  ['CREATE VIEW archive.v AS TABLE visits', 'sql.create clinic/archive /kind=view /name=v', `sql.select ${V}`],
  ['CREATE INDEX ON visits (cost)', `sql.create ${V} /kind=index`],
  [
    'CREATE SCHEMA s CREATE TABLE t ()',
    'sql.create clinic/s /kind=schema /name=s',
    'sql.create clinic/public /kind=table /name=t',
  ],
  ['ALTER TABLE visits ADD c int', `sql.alter ${V} /kind=table`],
  ['ALTER TABLE visits DROP COLUMN cost', `sql.alter ${V} /kind=table`, `sql.drop ${V} /kind=table`],
  ['ALTER TABLE visits OWNER TO x', `sql.alter ${V} /kind=table`, `sql.grant ${V} /kind=table`],
  ['ALTER TABLE visits RENAME cost TO c', `sql.alter ${V} /kind=column`],
  ['DROP TABLE visits, archive.visits', `sql.drop ${V} /kind=table`, 'sql.drop clinic/archive.visits /kind=table'],
  ['DROP SCHEMA archive', 'sql.drop clinic/archive /kind=schema'],
  ['DROP FUNCTION archive.f(int)', 'sql.drop clinic/archive /kind=function'],
  ['DROP TRIGGER t ON visits', `sql.drop ${V} /kind=trigger`],
  ["COMMENT ON COLUMN visits.cost IS 'x'", `sql.comment ${V} /kind=column`],
  ['VACUUM', 'sql.maintain clinic'],
  ['ANALYZE visits', `sql.maintain ${V}`],
  ['REINDEX SCHEMA archive', 'sql.maintain clinic/archive'],
  ['CHECKPOINT', 'sql.maintain clinic'],
  ['GRANT SELECT ON visits TO x', `sql.grant ${V} /kind=table`],
  ['GRANT a TO b', 'sql.grant clinic /kind=role'],
  ['LOCK visits', `sql.lock ${V}`],
  ['LISTEN c', 'sql.listen clinic /channel=c'],
  ["NOTIFY c, 'x'", 'sql.notify clinic /channel=c'],
  ['BEGIN READ WRITE', 'sql.transaction clinic /kind=begin'],
  ['SET TRANSACTION READ WRITE', 'sql.transaction clinic /kind=set transaction'],
  ["SET TimeZone TO 'UTC'", 'sql.set clinic /name=timezone /value=UTC'],
  ['SET search_path = a, b', 'sql.set clinic /name=search_path /value=a, b'],
  ['RESET work_mem', 'sql.set clinic /name=work_mem /value=DEFAULT'],
  ['RESET ALL', 'sql.set clinic /name=all /value=DEFAULT'],
  ['DISCARD ALL', 'sql.set clinic /name=all /value=DEFAULT'],
  ['SHOW Search_Path', 'sql.show clinic /name=search_path'],
  ['EXPLAIN DELETE FROM visits', `sql.select ${V}`],
  ['EXPLAIN (ANALYZE off) DELETE FROM visits', `sql.select ${V}`],
  ['EXPLAIN ANALYZE DELETE FROM visits', `sql.delete ${V} unbounded`],
  ['EXPLAIN (ANALYZE 1, COSTS off) DELETE FROM visits', `sql.delete ${V} unbounded`],
  ['PREPARE p AS DELETE FROM visits', `sql.delete ${V} unbounded`],
  ['EXECUTE p'],
  ['EXECUTE p(purge())', 'sql.call clinic /function=purge'],
  ['FETCH ALL FROM k'],
  ['DEALLOCATE p', 'sql.transaction clinic /kind=deallocate'],
  ['DEALLOCATE ALL', 'sql.transaction clinic /kind=deallocate'],
  ['CLOSE ALL', 'sql.transaction clinic /kind=close'],
  ['DISCARD PLANS', 'sql.set clinic /name=all /value=DEFAULT'],
  [
    'MERGE INTO visits v USING archive.visits s ON v.id = s.id WHEN MATCHED THEN DELETE WHEN NOT MATCHED THEN INSERT VALUES (s.id)',
    'sql.select clinic/archive.visits',
    `sql.select ${V}`,
    `sql.delete ${V} unbounded`,
    `sql.insert ${V} unbounded`,
  ],
]

describe('analyse', () => {
  for (const [text, ...touches] of TOUCHES) {
    it(`reads ${text}`, () => {
      assert.deepEqual(touchesOf(text, { hidden: [] }), touches)
      assert.equal(readOne(text, { hidden: [] }).objection, undefined)
    })
  }

  for (const [text, action] of [
    ['DO $$ BEGIN END $$', 'sql.do'],
    ["CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'", 'sql.create'],
    ['CREATE TRIGGER t AFTER INSERT ON visits EXECUTE FUNCTION f()', 'sql.create'],
    ['CREATE RULE r AS ON INSERT TO visits DO ALSO DELETE FROM visits', 'sql.create'],
    ['CREATE POLICY p ON visits USING (true)', 'sql.grant'],
    ['CREATE EXTENSION x', 'sql.create'],
    ['DROP OWNED BY x', 'sql.drop'],
    ['CREATE CAST (text AS int) WITH INOUT', 'sql.create'],
    ['CREATE OPERATOR + (FUNCTION = f)', 'sql.create'],
    ['CREATE PUBLICATION p FOR ALL TABLES', 'sql.create'],
    ['ALTER SYSTEM SET a.b = 1', 'sql.alter'],
    ['ALTER ROLE x SET a.b = 1', 'sql.grant'],
    ["ALTER ROLE CURRENT_USER CREATEDB PASSWORD 'x'", 'sql.grant'],
    ["ALTER USER x ENCRYPTED PASSWORD 'x'", 'sql.grant'],
    ["ALTER ROLE sp_1_2 VALID UNTIL 'infinity'", 'sql.grant'],
    ['ALTER ROLE SESSION_USER CONNECTION LIMIT 9', 'sql.grant'],
    ["LOAD 'x'", 'sql.create'],
    ["PREPARE TRANSACTION 'x'", 'sql.transaction'],
    ["COPY (SELECT 1) TO PROGRAM 'x'", undefined],
    ['SET ROLE dba', 'sql.set_role'],
    ['RESET SESSION AUTHORIZATION', 'sql.set_role'],
  ] as const) {
    it(`objects to ${text} whatever the policy says`, () => {
      const statement = readOne(text, { hidden: [] })
      assert.ok(statement.objection)
      if (action !== undefined) assert.equal(statement.touches[0]?.action, action)
    })
  }

  it('knows what takes effect and what does not', () => {
    const effects = (text: string) => readAt(text, { hidden: [] }).map((each) => each.effect)
    assert.deepEqual(
      effects('SELECT 1; SHOW a; SET a.b = 1; BEGIN; ROLLBACK; FETCH k; PREPARE p AS DELETE FROM visits'),
      Array(7).fill('none'),
    )
    assert.deepEqual(
      effects('DELETE FROM visits; COMMIT; CALL f(); SELECT purge(); NOTIFY c; EXPLAIN ANALYZE DELETE FROM visits'),
      Array(6).fill('final'),
    )
  })

  it('says how a statement uses the names of the session', () => {
    const uses = (text: string) => {
      const use = readOne(text, { hidden: [] }).uses
      return use && ['name' in use ? use.name : '', use.does, 'statement' in use ? use.statement.node : '']
    }
    assert.deepEqual(uses('PREPARE p AS DELETE FROM visits'), ['p', 'prepare', 'DeleteStmt'])
    assert.deepEqual(uses('DECLARE k CURSOR FOR SELECT 1'), ['k', 'declare', 'SelectStmt'])
    assert.deepEqual(uses('EXPLAIN ANALYZE EXECUTE p'), ['p', 'execute', ''])
    assert.deepEqual(uses('CREATE TABLE t AS EXECUTE p'), ['p', 'execute', ''])
    assert.deepEqual(uses('DEALLOCATE ALL'), [null, 'deallocate', ''])
    assert.deepEqual(uses('DEALLOCATE "all"'), ['all', 'deallocate', ''])
    assert.deepEqual(uses('CLOSE ALL'), [null, 'close', ''])
    assert.deepEqual(uses(`EXECUTE "${'é'.repeat(40)}"`), ['é'.repeat(31), 'execute', ''])
    assert.deepEqual(uses(`DECLARE ${'x'.repeat(70)} CURSOR FOR SELECT 1`), ['x'.repeat(63), 'declare', 'SelectStmt'])
    assert.deepEqual(uses('MOVE 1 FROM k'), ['k', 'fetch', ''])
    assert.deepEqual(uses('DISCARD ALL'), ['', 'forget', ''])
  })

  it('names the ends of transactions', () => {
    const kinds = readAt('BEGIN; SAVEPOINT a; ROLLBACK TO a; RELEASE a; COMMIT; ROLLBACK').map(
      (each) => each.transaction,
    )
    assert.deepEqual(kinds, ['begin', 'savepoint', 'savepoint', 'savepoint', 'commit', 'rollback'])
  })

  it('collects functions and the presence of WHERE as facts', () => {
    const { own } = readOne('SELECT count(*), upper(now()::text) FROM visits WHERE abs(id) = 1', { hidden: [] })
      .touches[0]!.facts
    assert.deepEqual(own, {
      has_where: true,
      functions: ['abs', 'count', 'now', 'upper'],
      volatile_functions: [],
      predicates: [],
    })
  })

  it('tells volatile functions, and those of which nothing is known, from the rest', () => {
    const volatile = (text: string, request: Partial<ReadRequest> = {}): unknown =>
      readOne(text, { hidden: [], ...request }).touches[0]!.facts.own.volatile_functions
    assert.deepEqual(volatile('SELECT random(), abs(random()), now(), clock_timestamp()'), [
      'clock_timestamp',
      'random',
    ])
    assert.deepEqual(volatile("SELECT nextval('ticket'), pg_catalog.nextval('ticket')"), ['nextval'])
    assert.deepEqual(volatile('SELECT mail_of(1), public.mail_of(2), upper($1)'), [])
    assert.deepEqual(volatile('SELECT purge(), nobody.knows(), lower($1)'), ['lower', 'nobody.knows', 'purge'])
    assert.deepEqual(volatile("SELECT pg_read_file('x'), query_to_xml($1, true, true, '')"), [
      'pg_read_file',
      'query_to_xml',
    ])
    assert.deepEqual(volatile('SELECT random(), public.random()'), ['random'])
    assert.deepEqual(volatile('SELECT mail_of(1)', { changed: [{ name: 'mail_of()', now: 'made' }] }), ['mail_of'])
    assert.deepEqual(volatile('CALL purge(1)'), ['purge'])
    assert.deepEqual(volatile('EXPLAIN SELECT random()'), ['random'])
    assert.deepEqual(volatile('SELECT v.purge FROM visits v'), ['purge'])
    assert.deepEqual(volatile('DELETE FROM visits WHERE id = random()'), ['random'])
  })
})

describe('settings that are walls', () => {
  for (const text of [
    'SET standard_conforming_strings = off',
    'SET backslash_quote = on',
    "SET client_encoding = 'SJIS'",
    "SET NAMES 'latin1'",
    'SET row_security = off',
    'SET session_replication_role = replica',
    'SET default_transaction_read_only = off',
    'SET transaction_read_only = 0',
    'SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE',
    'SET LOCAL log_statement = none',
    'SET "Role" = dba',
    "SELECT set_config('role', 'dba', false)",
    "SELECT set_config('ro' || 'le', 'dba', false)",
    "SELECT pg_catalog.set_config(new_value => 'off', setting_name => 'row_security', is_local => false)",
  ]) {
    it(`objects to ${text}`, () => assert.equal(readOne(text, { hidden: [] }).objection?.code, 'denied'))
  }
  for (const text of [
    'SET standard_conforming_strings = on',
    "SET client_encoding = 'utf-8'",
    'SET default_transaction_read_only = on',
    'SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY',
    "SET my.own = 'x'",
    "SELECT set_config('timezone', 'UTC', false)",
  ]) {
    it(`has nothing against ${text}`, () => assert.equal(readOne(text, { hidden: [] }).objection, undefined))
  }
})
