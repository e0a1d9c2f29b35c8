import assert from 'node:assert/strict'
import { Client, DatabaseError } from 'pg'
import type { Demo } from './start.ts'
import type { Story } from './story.ts'

/** The agent's connection, and what the scenes need besides. */
export type Stage = { readonly demo: Demo; readonly story: Story; readonly agent: Client }

export const PROMPT = 'report-bot=>'

/** Chapter 1: an OIDC token opens a session; the database has a role for it, and only for it. */
export async function signIn(demo: Demo, story: Story): Promise<Stage> {
  story.chapter('Sign in with a token, never with a database password')
  const token = await demo.idp.token('report-bot')
  const claims = JSON.parse(Buffer.from(token.split('.')[1]!, 'base64url').toString()) as Record<string, unknown>
  story.say('report-bot gets an access token from its identity provider and sends it as its password:')
  story.output(JSON.stringify({ iss: claims['iss'], aud: claims['aud'], sub: claims['sub'], groups: claims['groups'] }))
  const { port } = demo.gateway.running.postgres
  const ssl = { rejectUnauthorized: false } // sslmode=require: the demo's certificate is self-signed
  const agent = new Client({ host: '127.0.0.1', port, user: 'report-bot', database: 'orders', password: token, ssl })
  agent.on('error', () => undefined) // a connection that breaks fails the query that runs
  await agent.connect()
  const roles = await sessionRoles(demo)
  story.say('At the database, the superuser sees the role that was made for this one session:')
  story.rows(roles)
  assert.equal(roles.length, 1, 'one session, one role')
  return { demo, story, agent }
}

/** The roles of sessions, as the database itself lists them. */
export function sessionRoles(demo: Demo): Promise<readonly Readonly<Record<string, unknown>>[]> {
  return demo.shop.truth(
    `SELECT rolname AS role, rolvaliduntil AS valid_until,
            (SELECT string_agg(roleid::regrole::text, ', ') FROM pg_auth_members WHERE member = pg_roles.oid) AS member_of
     FROM pg_roles WHERE rolname LIKE 'sp\\_%'`,
  )
}

/** Chapter 2: sensitive values do not arrive, under whatever name they are asked for. */
export async function maskedRead(stage: Stage): Promise<void> {
  const { story, demo } = stage
  story.chapter('Read: sensitive values are masked on the way')
  const rows = await ask(stage, 'SELECT id, name, email, card, notes FROM customers ORDER BY id LIMIT 5')
  assert.ok(
    rows.every(({ email, card }) => email === '***' && card === '***'),
    'each e-mail and card is masked',
  )
  story.say('They are masked because of where they come from, not what they are called:')
  const renamed = await ask(stage, 'SELECT name AS a, email AS b, card AS c FROM customers LIMIT 2')
  assert.ok(
    renamed.every(({ b, c }) => b === '***' && c === '***'),
    'so they are under other names',
  )
  story.say('Nor may they be found out by asking about them:')
  const guess = await refused(stage, "SELECT name FROM customers WHERE card LIKE '4111%'")
  assert.match(guess.message, /masked for you/, 'the refusal says why')
  const secrets = await demo.shop.truth(
    'SELECT email, card, substring(notes from $$[0-9][0-9 -]{14,}|[^ ]+@[^ ]+$$) AS note FROM customers',
  )
  assert.equal(secrets.length, 50, 'customers in the database')
  const seen = JSON.stringify([rows, renamed])
  const leaked = secrets
    .flatMap((row) => Object.values(row))
    .filter((value) => typeof value === 'string' && seen.includes(value))
  assert.deepEqual(leaked, [], 'nothing sensitive in what the agent got')
  story.tick('Not one of the 50 addresses and cards, nor those in free text, is in what the agent got')
}

/** Chapters 3 and 4: a refusal says why and what to do instead, and the connection stays usable. */
export async function deniedStatements(stage: Stage): Promise<void> {
  const { story } = stage
  story.chapter('A DROP TABLE is denied')
  const drop = await refused(stage, 'DROP TABLE orders')
  assert.equal(drop.code, '42501', 'SQLSTATE of a denied statement')
  assert.match(drop.message, /rule no-schema-changes/, 'the refusal names the rule')
  assert.match(drop.hint ?? '', /migrations/, 'the refusal says what to do instead')
  story.say('The connection goes on working, and the table is there:')
  const [row] = await ask(stage, 'SELECT count(*) AS orders FROM orders')
  assert.equal(row?.['orders'], '200', 'no order is lost')

  story.chapter('An UPDATE without WHERE is denied, with its remedy')
  const update = await refused(stage, 'UPDATE customers SET points = 0')
  assert.equal(update.code, '42501', 'SQLSTATE of a denied statement')
  assert.match(update.message, /without WHERE.*rule no-unbounded-writes/, 'the refusal says what is wrong')
  assert.match(update.hint ?? '', /WHERE/, 'the refusal says what to do instead')
}

async function ask({ agent, story }: Stage, sql: string): Promise<readonly Readonly<Record<string, unknown>>[]> {
  story.types(PROMPT, sql)
  const { rows } = await agent.query<Record<string, unknown>>(sql)
  story.rows(rows)
  return rows
}

/** The error a statement ends with. Throws when it ends well. */
async function refused({ agent, story }: Stage, sql: string): Promise<DatabaseError> {
  story.types(PROMPT, sql)
  const error: unknown = await agent.query(sql).then(
    () => new Error(`${sql} should be refused, but ran`),
    (reason: unknown) => reason,
  )
  if (!(error instanceof DatabaseError)) throw error
  story.output(`ERROR:  ${error.code}: ${error.message}\nHINT:  ${error.hint}`)
  return error
}
