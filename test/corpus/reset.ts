import { Client } from 'pg'
import type { TestPostgres } from '../postgres.ts'

/** What one database of the corpus is like, and how it becomes as new. */
export interface Resetting extends AsyncDisposable {
  /** Of everything a statement could change: rows, definitions, rights, roles, settings, what is prepared. */
  fingerprint(): Promise<string>
  /** Of the rows of the tables only: what a step may change that comes before the one that counts. */
  rows(): Promise<string>
  /** Runs these as the superuser in the database; a failure is the test's. */
  prepare(statements: readonly string[]): Promise<void>
  /** As the seed made it. */
  renew(): Promise<void>
  /** `renew`, where anything is not as the seed made it. */
  restore(): Promise<void>
  /** `prepare`, what is to be done, and `restore` whatever came of it. */
  around(setup: readonly string[], act: () => Promise<void>): Promise<void>
}

const ROLES = ['agent', 'agent_mon', 'agent_su', 'app_owner', 'dba']
const OURS = `(SELECT oid FROM pg_namespace WHERE nspname NOT LIKE 'pg\\_%')`

/** Rows of the corpus' tables, as lines. */
const ROWS = `
  SELECT 'o' || t::text AS x FROM public.orders t UNION ALL SELECT 'a' || t::text FROM public.audit_log t
  UNION ALL SELECT 'p' || t::text FROM public.payroll t UNION ALL SELECT 'c' || t::text FROM public.customers t
  UNION ALL SELECT 'h' || t::text FROM hr.payroll t`

/** What is not counted: temporary relations, and what differs between two clones of one seed. */
const STATE = `${ROWS}
  UNION ALL SELECT 'rel' || relname || relnamespace || relkind::text || relowner || coalesce(relacl::text, '') || coalesce(reloptions::text, '')
    || relrowsecurity || relreplident::text FROM pg_class WHERE relpersistence <> 't' AND relnamespace IN ${OURS}
  UNION ALL SELECT 'fn' || proname || md5(prosrc) || proowner || coalesce(proacl::text, '') FROM pg_proc WHERE pronamespace IN ${OURS}
  UNION ALL SELECT 'role' || rolname || rolsuper || rolcreatedb || coalesce(rolpassword, '') FROM pg_authid
  UNION ALL SELECT 'set' || setdatabase || setrole || setconfig::text FROM pg_db_role_setting
  UNION ALL SELECT 'lo' || oid FROM pg_largeobject_metadata
  UNION ALL SELECT 'seq' || last_value || is_called FROM public.ticket_seq
  UNION ALL SELECT 'att' || attrelid || attname || atttypid || coalesce(attacl::text, '') FROM pg_attribute
    WHERE attnum > 0 AND attrelid IN (SELECT oid FROM pg_class WHERE relpersistence <> 't' AND relnamespace IN ${OURS})
  UNION ALL SELECT 'des' || objoid || description FROM pg_description WHERE objoid > 16000
  UNION ALL SELECT 'xact' || gid FROM pg_prepared_xacts
  UNION ALL SELECT 'slot' || slot_name FROM pg_replication_slots
  UNION ALL SELECT 'origin' || roname FROM pg_replication_origin
  UNION ALL SELECT 'ext' || extname FROM pg_extension
  UNION ALL SELECT 'trg' || tgname || tgrelid || tgenabled::text FROM pg_trigger
  UNION ALL SELECT 'evt' || evtname FROM pg_event_trigger
  UNION ALL SELECT 'rule' || rulename || ev_class FROM pg_rewrite
  UNION ALL SELECT 'def' || oid FROM pg_default_acl
  UNION ALL SELECT 'am' || roleid || member FROM pg_auth_members
  UNION ALL SELECT 'nsp' || nspname || nspowner || coalesce(nspacl::text, '') FROM pg_namespace WHERE oid IN ${OURS}
  UNION ALL SELECT 'typ' || typname FROM pg_type WHERE typnamespace IN ${OURS}
  UNION ALL SELECT 'con' || conname || conrelid FROM pg_constraint WHERE connamespace IN ${OURS}
  UNION ALL SELECT 'opr' || oprname FROM pg_operator WHERE oprnamespace IN ${OURS}
  UNION ALL SELECT 'cast' || oid FROM pg_cast
  UNION ALL SELECT 'pol' || polname FROM pg_policy
  UNION ALL SELECT 'pub' || pubname FROM pg_publication
  UNION ALL SELECT 'sub' || subname FROM pg_subscription
  UNION ALL SELECT 'srv' || srvname FROM pg_foreign_server
  UNION ALL SELECT 'stx' || stxname FROM pg_statistic_ext`

const digest = (lines: string): string => `SELECT md5(string_agg(x, '|' ORDER BY x)) AS state FROM (${lines}) q`

export function resetting(postgres: TestPostgres, database: string): Resetting {
  const url = postgres.admin.replace(/postgres$/, database)
  const admin = lasting(url)
  let fresh: string | undefined
  let touched = false
  const state = async (lines: string): Promise<string> => String((await admin.run(digest(lines)))[0]?.['state'])
  const self: Resetting = {
    fingerprint: () => state(STATE),
    rows: () => state(ROWS),
    prepare: async (statements) => {
      touched ||= statements.length > 0
      for (const statement of statements) await admin.run(statement)
    },
    renew: async () => {
      await cleanCluster(postgres, url)
      await admin.end()
      await postgres.query(`DROP DATABASE IF EXISTS ${database} WITH (FORCE)`)
      await postgres.query(`CREATE DATABASE ${database} TEMPLATE ${database}_seed OWNER app_owner`)
      await postgres.query(`GRANT CREATE, TEMP ON DATABASE ${database} TO agent`)
      fresh = await self.fingerprint()
      touched = false
    },
    restore: async () => {
      const now = await self.fingerprint().catch(() => 'gone')
      if (touched || now !== fresh) await self.renew()
    },
    around: async (setup, act) => {
      await self.prepare(setup)
      try {
        await act()
      } finally {
        await self.restore()
      }
    },
    [Symbol.asyncDispose]: () => admin.end(),
  }
  return self
}

type Lasting = {
  run(sql: string): Promise<readonly Readonly<Record<string, unknown>>[]>
  end(): Promise<void>
}

/** One connection for many questions, made when it is needed. */
function lasting(connectionString: string): Lasting {
  let client: Client | undefined
  return {
    run: async (sql) => {
      if (client === undefined) {
        client = new Client({ connectionString })
        client.on('error', () => (client = undefined))
        await client.connect()
      }
      return (await client.query<Record<string, unknown>>(sql)).rows
    },
    end: async () => {
      const ending = client
      client = undefined
      await ending?.end()
    },
  }
}

/** What a case left outside of its database. */
async function cleanCluster(postgres: TestPostgres, url: string): Promise<void> {
  const prepared = await postgres.query('SELECT gid FROM pg_prepared_xacts')
  for (const { gid } of prepared) await postgres.query(`ROLLBACK PREPARED '${String(gid)}'`, undefined, url)
  await postgres.query('SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots')
  const roles = await postgres.query(`SELECT rolname FROM pg_roles WHERE rolname !~ '^(pg_|postgres$|sp_)'`)
  const strangers = roles.map(({ rolname }) => String(rolname)).filter((name) => !ROLES.includes(name))
  const client = new Client({ connectionString: url })
  for (const role of strangers.map((name) => client.escapeIdentifier(name))) {
    await postgres.query(`DROP OWNED BY ${role} CASCADE`, undefined, url)
    await postgres.query(`DROP ROLE ${role}`)
  }
  for (const role of ROLES) {
    await postgres.query(`ALTER ROLE ${role} RESET ALL`)
  }
}
