import assert from 'node:assert/strict'
import { cp, readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { sessionRoles } from './agent.ts'
import { command, sallyport } from './commands.ts'
import type { Demo } from './start.ts'
import type { Story } from './story.ts'

/** One line of `sallyport sessions --json`. */
type SessionLine = { readonly id: string; readonly closed_at?: string; readonly last_seq: number }

const PATIENCE_MS = 20_000

/** Chapter 6: the credential at the database dies with the connection. */
export async function roleGone(demo: Demo, story: Story): Promise<void> {
  story.chapter('The agent disconnects, and its role is gone')
  await until('the role is gone', async () => (await sessionRoles(demo)).length === 0 || undefined)
  story.tick('The database has no role of a session any more')
}

/** Chapter 7: everything of the session, in order. Returns the last record of it. */
export async function replaySession(demo: Demo, story: Story): Promise<number> {
  story.chapter('The recording')
  const { id, last_seq: last } = await until('the session is closed', async () => {
    const { output } = await sallyport(demo, 'grace', ['sessions', '--json'])
    const session = JSON.parse(output) as SessionLine
    return session.closed_at === undefined ? undefined : session
  })
  const { code, output } = await command(demo, story, 'grace', ['replay', id])
  assert.equal(code, 0, 'the session can be replayed')
  for (const told of ['DENIED by no-schema-changes', 'HELD by', 'approved by corp/grace', 'checked at the target']) {
    assert.ok(output.includes(told), `the replay says "${told}"`)
  }
  assert.ok(!output.includes('@example.net'), 'the recording has masked values only')
  return last
}

/** Chapter 8: the log verifies; with one bit of a copy changed it does not, and the record is named. */
export async function verifyLog(demo: Demo, story: Story, last: number): Promise<void> {
  const { checkpoints } = demo.gateway
  story.chapter('Nothing of it was changed, and a change would be found')
  await until('a checkpoint covers the session', async () => (await signedUpTo(checkpoints)) >= last || undefined)
  const intact = await command(demo, story, 'grace', ['audit', 'verify', '--checkpoint', checkpoints])
  assert.equal(intact.code, 0, 'the log verifies')
  assert.match(intact.output, /^intact/, 'the log is intact')

  const copy = join(demo.directory, 'copy-of-the-log')
  const changed = await changeVote(join(demo.gateway.running.config.data, 'log'), copy)
  story.say(`In a copy of the log, one letter of the vote is changed (record ${changed}):`)
  const tampered = await command(demo, story, 'grace', ['audit', 'verify', '--log', copy, '--checkpoint', checkpoints])
  assert.equal(tampered.code, 1, 'a changed log does not verify')
  assert.ok(tampered.output.includes(`changed: record ${changed} `), 'the changed record is named')
}

async function signedUpTo(file: string): Promise<number> {
  const lines = (await readFile(file, 'utf8')).trimEnd().split('\n')
  return Number(lines.at(-1)?.split(' ')[3] ?? 0)
}

/** Copies the log and flips one bit in the record of a vote. Returns the number of the record. */
async function changeVote(log: string, copy: string): Promise<number> {
  await cp(log, copy, { recursive: true, filter: (path) => path === log || path.endsWith('.log') })
  const [segment] = await readdir(copy)
  const file = join(copy, segment!)
  const text = await readFile(file, 'utf8')
  const line = text.split('\n').find((record) => record.includes('"type":"vote"'))
  assert.ok(line, 'the log has the vote')
  const bytes = Buffer.from(text)
  const place = bytes.indexOf(line) + line.indexOf('grace')
  bytes[place] = bytes[place]! ^ 1
  await writeFile(file, bytes)
  return (JSON.parse(line) as { readonly seq: number }).seq
}

/** Looks again and again until there is something. Throws when there is nothing for 20 s. */
async function until<T>(what: string, look: () => Promise<T | undefined>): Promise<T> {
  for (const end = Date.now() + PATIENCE_MS; Date.now() < end; await sleep(100)) {
    const found = await look()
    if (found !== undefined) return found
  }
  throw new Error(`not within ${PATIENCE_MS / 1000} s: ${what}`)
}
