import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmod, mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'

/** What the story prints at its turning points, in this order. */
const STORY = [
  '✓ PostgreSQL 18',
  '✓ OpenID Connect provider',
  '✓ Sallyport between them',
  /sp_\w+ +\| .* \| orders_writer/,
  /Maya Albers +\| \*\*\* +\| \*\*\* +\| paid by phone with \*\*\*, wants/,
  'ERROR:  42501: Schema changes go through migrations (rule no-schema-changes).',
  'ERROR:  42501: UPDATE on orders/public.customers without WHERE is not allowed (rule no-unbounded-writes).',
  'HINT:  Add a WHERE clause that names the rows.',
  'NOTICE:  Held for approval by dba: apr_',
  'Nobody decides on their own request, nor on one made for them.',
  'Approved: it may run once.',
  'UPDATE 3',
  '✓ It ran exactly once',
  '✓ The database has no role of a session any more',
  'HELD by writes-need-a-dba',
  'approved by corp/grace',
  'intact: ',
  /changed: record \d+ \(/,
  '✓ All of it was as told',
]

describe('the demo', () => {
  it('plays its story to the end, finds each step as told, and leaves nothing behind', async () => {
    await using demo = await startDemo(['--play'])
    const code = await demo.ended
    assert.equal(code, 0, demo.printed())
    assertInOrder(demo.printed(), STORY)
    assert.doesNotMatch(demo.printed(), /oidc-provider|[Ww]arning|@example\.net|\d{4} ?\d{4} ?\d{4} ?\d{4}/)
    assert.deepEqual(await readdir(demo.directory), [])
  })

  it('says what to try, runs until a signal, and leaves nothing behind', async () => {
    await using demo = await startDemo([])
    await demo.untilPrinted('Ctrl-C ends the demo')
    assertInOrder(demo.printed(), [
      /PGPASSWORD=\$\(cat .*\) psql ".*sslmode=require"/,
      'sallyport approve',
      'audit verify',
    ])
    demo.signal('SIGINT')
    assert.equal(await demo.ended, 0, demo.printed())
    assert.deepEqual(await readdir(demo.directory), [])
  })

  it('explains itself, and refuses an option that it does not have', async () => {
    await using help = await startDemo(['--help'])
    assert.equal(await help.ended, 0)
    assert.match(help.printed(), /--play/)
    await using wrong = await startDemo(['--plya'])
    assert.equal(await wrong.ended, 2)
    assert.match(wrong.printed(), /--plya/)
  })
})

interface RunningDemo extends AsyncDisposable {
  /** Where it puts its files: a place of its own, to see what stays. */
  readonly directory: string
  readonly ended: Promise<number | null>
  printed(): string
  untilPrinted(text: string): Promise<void>
  signal(name: NodeJS.Signals): void
}

async function startDemo(args: readonly string[]): Promise<RunningDemo> {
  const directory = await mkdtemp(join(tmpdir(), 'sallyport-demo-test-'))
  await chmod(directory, 0o755) // run as root, the database is another user's
  const child = spawn(process.execPath, [join(import.meta.dirname, '../demo/main.ts'), ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, TMPDIR: directory },
  })
  let text = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (chunk: string) => (text += chunk))
  }
  const ended = once(child, 'close').then(([code]) => code as number | null)
  return {
    directory,
    ended,
    printed: () => text,
    untilPrinted: async (wanted) => {
      while (!text.includes(wanted)) {
        const more = await Promise.race([once(child.stdout, 'data'), ended])
        assert.ok(Array.isArray(more), `it ended without "${wanted}":\n${text}`)
      }
    },
    signal: (name) => void child.kill(name),
    [Symbol.asyncDispose]: async () => {
      child.kill('SIGTERM')
      await ended
      await rm(directory, { recursive: true, force: true })
    },
  }
}

function assertInOrder(text: string, wanted: readonly (string | RegExp)[]): void {
  let rest = text
  for (const item of wanted) {
    const place = typeof item === 'string' ? rest.indexOf(item) : rest.search(item)
    assert.notEqual(place, -1, `${String(item)} is not printed, or not in its place:\n${text}`)
    rest = rest.slice(place)
  }
}
