import { sql, type Kysely, type Transaction } from 'kysely'
import { Fault } from '../gateway/fault.ts'
import type { Schema } from './schema.ts'

type Migration = (db: Transaction<Schema>) => Promise<void>

/** Forward only, never edited once released: number N is the Nth of the list. Only what every database understands. */
const MIGRATIONS: readonly Migration[] = [first, second]

async function first(db: Transaction<Schema>): Promise<void> {
  await createInstallation(db)
  await createGrants(db)
  await createSessions(db)
  await createApprovals(db)
  await createVotes(db)
}

async function createInstallation(db: Transaction<Schema>): Promise<void> {
  await db.schema
    .createTable('installation')
    .addColumn('id', 'text', (column) => column.primaryKey())
    .addColumn('created_at', 'bigint', (column) => column.notNull())
    .addColumn('clock_seen_at', 'bigint', (column) => column.notNull())
    .execute()
  await db.schema
    .createTable('replicas')
    .addColumn('id', 'text', (column) => column.primaryKey())
    .addColumn('started_at', 'bigint', (column) => column.notNull())
    .addColumn('seen_at', 'bigint', (column) => column.notNull())
    .execute()
}

async function createGrants(db: Transaction<Schema>): Promise<void> {
  await db.schema
    .createTable('grants')
    .addColumn('id', 'text', (column) => column.primaryKey())
    .addColumn('identity', 'text', (column) => column.notNull())
    .addColumn('kind', 'text', (column) => column.notNull())
    .addColumn('person', 'text')
    .addColumn('target', 'text', (column) => column.notNull())
    .addColumn('purpose', 'text', (column) => column.notNull())
    .addColumn('opened_at', 'bigint', (column) => column.notNull())
    .addColumn('expires_at', 'bigint', (column) => column.notNull())
    .addColumn('ended_at', 'bigint')
    .execute()
}

async function createSessions(db: Transaction<Schema>): Promise<void> {
  await db.schema
    .createTable('sessions')
    .addColumn('id', 'text', (column) => column.primaryKey())
    .addColumn('target', 'text', (column) => column.notNull())
    .addColumn('protocol', 'text', (column) => column.notNull())
    .addColumn('identity', 'text', (column) => column.notNull())
    .addColumn('kind', 'text', (column) => column.notNull())
    .addColumn('person', 'text')
    .addColumn('grant_id', 'text', (column) => column.notNull())
    .addColumn('lease', 'text', (column) => column.notNull())
    .addColumn('client', 'text', (column) => column.notNull())
    .addColumn('application', 'text')
    .addColumn('replica', 'text', (column) => column.notNull())
    .addColumn('opened_at', 'bigint', (column) => column.notNull())
    .addColumn('closed_at', 'bigint')
    .addColumn('close_reason', 'text')
    .addColumn('first_seq', 'bigint', (column) => column.notNull())
    .addColumn('last_seq', 'bigint', (column) => column.notNull())
    .addColumn('operations', 'integer', (column) => column.notNull())
    .execute()
  await db.schema.createIndex('sessions_by_opening').on('sessions').columns(['opened_at', 'id']).execute()
}

async function createApprovals(db: Transaction<Schema>): Promise<void> {
  await db.schema
    .createTable('approvals')
    .addColumn('id', 'text', (column) => column.primaryKey())
    .addColumn('state', 'text', (column) => column.notNull())
    .addColumn('requester_key', 'text', (column) => column.notNull())
    .addColumn('requester', 'text', (column) => column.notNull())
    .addColumn('target', 'text', (column) => column.notNull())
    .addColumn('digest', 'text', (column) => column.notNull())
    .addColumn('session', 'text', (column) => column.notNull())
    .addColumn('operation', 'text', (column) => column.notNull())
    .addColumn('client', 'text', (column) => column.notNull())
    .addColumn('text', 'text', (column) => column.notNull())
    .addColumn('parameters', 'text')
    .addColumn('touches', 'text', (column) => column.notNull())
    .addColumn('hold', 'text', (column) => column.notNull())
    .addColumn('preview', 'text')
    .addColumn('created_at', 'bigint', (column) => column.notNull())
    .addColumn('expires_at', 'bigint', (column) => column.notNull())
    .addColumn('spent_by', 'text')
    .addColumn('revision', 'integer', (column) => column.notNull())
    .execute()
  await db.schema
    .createIndex('approvals_open')
    .unique()
    .on('approvals')
    .columns(['requester_key', 'target', 'digest'])
    .where(sql<string>`state`, 'in', ['pending', 'approved'])
    .execute()
}

async function createVotes(db: Transaction<Schema>): Promise<void> {
  await db.schema
    .createTable('votes')
    .addColumn('approval_id', 'text', (column) => column.notNull().references('approvals.id'))
    .addColumn('voter', 'text', (column) => column.notNull())
    .addColumn('person', 'text')
    .addColumn('groups', 'text', (column) => column.notNull())
    .addColumn('vote', 'text', (column) => column.notNull())
    .addColumn('reason', 'text')
    .addColumn('at', 'bigint', (column) => column.notNull())
    .addPrimaryKeyConstraint('votes_one_of_each_account', ['approval_id', 'voter'])
    .addUniqueConstraint('votes_one_of_each_human', ['approval_id', 'person'])
    .execute()
}

/** Grants that are asked for, and their credentials. */
async function second(db: Transaction<Schema>): Promise<void> {
  for (const name of ['who', 'requester_key', 'operations', 'verifier', 'bearer', 'end_reason']) {
    await db.schema.alterTable('grants').addColumn(name, 'text').execute()
  }
  await db.schema.alterTable('grants').addColumn('held', 'integer').execute()
  await db.schema.alterTable('installation').addColumn('mock_key', 'text').execute()
  await db.schema.createIndex('grants_open').on('grants').columns(['ended_at', 'requester_key']).execute()
}

/** Brings the store to the newest schema, each step in its own transaction. Fault `store` when it is newer than this code. */
export async function migrate(db: Kysely<Schema>, now: number): Promise<void> {
  await db.schema
    .createTable('migrations')
    .ifNotExists()
    .addColumn('number', 'integer', (column) => column.primaryKey())
    .addColumn('applied_at', 'bigint', (column) => column.notNull())
    .execute()
  for (const [index, migration] of MIGRATIONS.entries()) {
    await db.transaction().execute((trx) => apply(trx, index + 1, migration, now))
  }
}

async function apply(trx: Transaction<Schema>, number: number, migration: Migration, now: number): Promise<void> {
  const { newest } = await trx
    .selectFrom('migrations')
    .select((select) => select.fn.max<number | null>('number').as('newest'))
    .executeTakeFirstOrThrow()
  if (newest !== null && newest > MIGRATIONS.length) {
    throw new Fault(
      'store',
      `the store has schema ${newest}, this version knows ${MIGRATIONS.length}: upgrade sallyport`,
    )
  }
  if (newest !== null && newest >= number) return
  await migration(trx)
  await trx.insertInto('migrations').values({ number, applied_at: now }).execute()
}
