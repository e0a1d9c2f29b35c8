import { randomBytes } from 'node:crypto'
import { profileLacks } from './check-profile.ts'
import { serverVersion } from './postgres-pool.ts'
import type { Database, RunSql } from './postgres-pool.ts'
import type { Profile } from './profile.ts'
import { grantMembership, quoteName, rolePrefix } from './session-role.ts'

export type Lack = { readonly lacks: string; readonly remedy: string }

export type CheckOptions = {
  readonly database: Database
  readonly target: string
  readonly installation: string
  readonly memberOf: readonly string[]
  readonly profile?: Profile
  readonly owner?: string
}

/** One thing that making or ending a session's role needs, tried out as it would be done. */
type Trial = {
  /** When it fails. */
  readonly lack: Lack
  /** Gives false, or rejects, when the right is missing. */
  readonly run: (query: RunSql) => Promise<unknown>
}

type Names = {
  /** Quoted. */
  readonly admin: string
  readonly probe: string
  /** The probe, quoted. */
  readonly role: string
  readonly version: number
}

/**
 * Makes and drops a role within a transaction that is rolled back, and says which right was missing on the way, each
 * with the SQL that gives it. A target that cannot be reached is one lack too.
 */
export async function checkRights(options: CheckOptions): Promise<readonly Lack[]> {
  try {
    return await options.database.tryOut((query) => tryRights(options, query))
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    return [
      {
        lacks: `a connection to target ${options.target} as ${quoteName(options.database.user)}: ${reason}`,
        remedy: `Check the target's url, its tls and the lease's connection URL.`,
      },
    ]
  }
}

async function tryRights(options: CheckOptions, query: RunSql): Promise<readonly Lack[]> {
  const version = await serverVersion(query)
  const admin = quoteName(options.database.user)
  const probe = `${rolePrefix(options.installation)}check_${randomBytes(8).toString('hex')}`
  const names = { admin, probe, role: quoteName(probe), version }
  const creation = creationTrial(names)
  // Without it nothing else can be tried: the other rights are asked for once this one is there.
  if (!(await passes(query, creation))) return [creation.lack]
  const lacks: Lack[] = []
  for (const trial of trialsOf(options, names)) {
    if (!(await passes(query, trial))) lacks.push(trial.lack)
  }
  if (options.owner !== undefined) lacks.push(...(await creationLacks(query, probe, options.owner)))
  const { profile, owner } = options
  if (profile) lacks.push(...(await profileLacks(query, { profile, owner })))
  return lacks
}

function trialsOf({ database, memberOf, profile, owner }: CheckOptions, names: Names): readonly Trial[] {
  const trials = [...memberOf.map((group) => membershipTrial(group, names)), ...endTrials(names)]
  if (owner !== undefined) trials.push(ownerTrial(owner, names))
  if (profile === undefined) trials.push(connectTrial(names, quoteName(database.name), memberOf))
  return trials
}

async function passes(query: RunSql, trial: Trial): Promise<boolean> {
  await query('SAVEPOINT trial')
  try {
    if ((await trial.run(query)) !== false) return true
  } catch (error) {
    if (!isAboutRights(error)) throw error
  }
  await query('ROLLBACK TO SAVEPOINT trial')
  return false
}

/** SQLSTATE classes 42 (no privilege, no such role), 28 and 0L/0P (not allowed to grant): answers, not accidents. */
function isAboutRights(error: unknown): boolean {
  const code = error instanceof Error && 'code' in error ? String(error.code) : ''
  return /^(42|28|0L|0P|2BP)/.test(code)
}

function creationTrial({ admin, role }: Names): Trial {
  return {
    lack: { lacks: 'CREATEROLE', remedy: `ALTER ROLE ${admin} CREATEROLE;` },
    run: async (query) => {
      await query(`CREATE ROLE ${role} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS INHERIT`)
      await query(`COMMENT ON ROLE ${role} IS 'sallyport check'`)
    },
  }
}

function membershipTrial(group: string, { admin, role, version }: Names): Trial {
  const name = quoteName(group)
  return {
    lack: {
      lacks: `the right to make session roles members of ${name}`,
      // PostgreSQL 15 lets CREATEROLE grant any role, so there the group itself is what is missing.
      remedy:
        version >= 160_000
          ? `GRANT ${name} TO ${admin} WITH ADMIN TRUE, INHERIT FALSE, SET FALSE;`
          : `CREATE ROLE ${name} NOLOGIN;`,
    },
    run: (query) => query(grantMembership(group, role, version)),
  }
}

/** What ends a role, in the order of its end. */
function endTrials({ admin, probe, role, version }: Names): readonly Trial[] {
  const inherit = { remedy: `ALTER ROLE ${admin} INHERIT;` }
  return [
    {
      lack: { lacks: 'the right to take away the login of session roles', remedy: `ALTER ROLE ${admin} CREATEROLE;` },
      run: (query) => query(`ALTER ROLE ${role} NOLOGIN CONNECTION LIMIT 0 PASSWORD NULL`),
    },
    {
      lack: { lacks: 'the right to end connections of session roles and to drop what they own', ...inherit },
      run: async (query) => {
        await query(grantMembership(probe, 'CURRENT_USER', version))
        await query(`DROP OWNED BY ${role}`)
        const [row] = await query('SELECT pg_has_role(current_user, $1, $2) AS has', [probe, 'USAGE'])
        return row?.['has'] === true
      },
    },
  ]
}

/** REASSIGN OWNED needs the rights of both roles, and for some kinds of object that the new owner could be SET ROLE to. */
function ownerTrial(owner: string, { admin, role, version }: Names): Trial {
  const name = quoteName(owner)
  const remedy =
    version >= 160_000
      ? `GRANT ${name} TO ${admin} WITH INHERIT TRUE, SET TRUE;`
      : `GRANT ${name} TO ${admin}; ALTER ROLE ${admin} INHERIT;`
  return {
    lack: { lacks: `the right to hand what sessions create to ${name}`, remedy },
    run: async (query) => {
      await query(`REASSIGN OWNED BY ${role} TO ${name}`)
      await query(`SET LOCAL ROLE ${name}`)
      await query('RESET ROLE')
    },
  }
}

function connectTrial({ probe }: Names, database: string, memberOf: readonly string[]): Trial {
  const group = memberOf[0] === undefined ? 'PUBLIC' : quoteName(memberOf[0])
  return {
    lack: {
      lacks: 'the right of session roles to connect to the database',
      remedy: `GRANT CONNECT ON DATABASE ${database} TO ${group};`,
    },
    run: async (query) => {
      const [row] = await query("SELECT has_database_privilege($1, current_database(), 'CONNECT') AS has", [probe])
      return row?.['has'] === true
    },
  }
}

const CREATION_LACKS = `
SELECT 'DATABASE ' || quote_ident(datname) AS place FROM pg_database
WHERE datname = current_database() AND has_database_privilege($1, oid, 'CREATE')
  AND NOT has_database_privilege($2::name, oid, 'CREATE')
UNION ALL SELECT 'SCHEMA ' || quote_ident(nspname) FROM pg_namespace
WHERE nspname !~ '^pg_' AND has_schema_privilege($1, oid, 'CREATE') AND NOT has_schema_privilege($2::name, oid, 'CREATE')
ORDER BY 1`

/** A function or a type can be handed over only where its new owner could have created it. */
async function creationLacks(query: RunSql, probe: string, owner: string): Promise<readonly Lack[]> {
  const [exists] = await query('SELECT FROM pg_roles WHERE rolname = $1', [owner])
  if (exists === undefined) return []
  const places = await query(CREATION_LACKS, [probe, owner])
  return places.map(({ place }) => ({
    lacks: `the right of ${quoteName(owner)} to own what sessions create in ${String(place)}`,
    remedy: `GRANT CREATE ON ${String(place)} TO ${quoteName(owner)};`,
  }))
}
