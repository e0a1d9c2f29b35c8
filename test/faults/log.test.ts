import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdir, readdir, rm, stat, statfs, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, afterEach, before, describe, it } from 'node:test'
import type { Client } from 'pg'
import type { SessionId } from '../../src/gateway/domain.ts'
import type { SessionOpened, StoredEntry } from '../../src/record/entry.ts'
import { readLog } from '../../src/record/read.ts'
import { query } from '../client-messages.ts'
import { rawConnect } from '../raw-client.ts'
import { startSaboteur, type Saboteur } from './saboteur.ts'
import { limitFiles, memoryOf, startScene, told, type Scene, within } from './scene.ts'

const UNRECORDABLE = {
  severity: 'ERROR',
  code: 'SP004',
  refusal: 'unrecordable',
  message: 'The gateway cannot record this operation, so it does not happen.',
}

/** Why there is no file system for the log alone; empty when there is one. */
let whyNoDisk = ''

/** 64 MiB of its own for the log, where that is permitted: it needs root, and a container may not. */
async function smallDisk(data: string): Promise<AsyncDisposable> {
  const log = join(data, 'log')
  await mkdir(log, { recursive: true, mode: 0o700 })
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=64m,mode=700', 'sallyport-test', log], { stdio: 'pipe' })
  } catch (error) {
    whyNoDisk = String((error as { readonly stderr?: Buffer }).stderr ?? error).trim()
    return { [Symbol.asyncDispose]: async () => undefined }
  }
  return { [Symbol.asyncDispose]: async () => void execFileSync('umount', [log]) }
}

describe('a log that cannot be written', () => {
  let scene: Scene
  let saboteur: Saboteur
  before(async () => {
    saboteur = await startSaboteur()
    scene = await startScene({ environment: saboteur.environment, prepare: smallDisk })
    await grow()
  })
  after(async () => {
    await scene?.[Symbol.asyncDispose]()
    await saboteur?.[Symbol.asyncDispose]()
  })
  afterEach(async () => {
    saboteur.set({})
    await rm(ballast(), { force: true })
    await limitFiles(scene.gateway.pid, undefined)
    await scene.settled()
  })

  /** To more than the files of the store have, so that a limit stops only the log. */
  const grow = async (): Promise<void> => {
    const client = await scene.connect()
    for (let turn = 0; turn < 6; turn++) await client.query(`SELECT ${turn}, repeat('x', 190000)`)
    await client.end()
  }
  const size = async (): Promise<number> => {
    const segments = (await readdir(scene.log)).filter((name) => name.endsWith('.log')).toSorted()
    return (await stat(join(scene.log, segments.at(-1)!))).size
  }
  const ballast = (): string => join(scene.log, 'ballast')
  const ran = (text: string): boolean => scene.ran().some((run) => run.text === text)

  it('refuses each statement while a write fails, wherever it breaks off, and goes on in the same session after', async () => {
    const client = await scene.connect()
    for (const room of [0, 1, 60]) {
      await limitFiles(scene.gateway.pid, (await size()) + room)
      assert.deepEqual(await told(client.query(`SELECT 'unseen'`)), UNRECORDABLE)
      assert.deepEqual(await told(client.query(`INSERT INTO orders VALUES (30, 1, 1)`)), UNRECORDABLE)
      await limitFiles(scene.gateway.pid, undefined)
      assert.equal((await client.query(`SELECT 'seen'`)).rowCount, 1)
    }
    assert.match(scene.gateway.said().stderr, /warning: the log cannot be written: EFBIG/)
    assert.ok(ran(`SELECT 'seen'`) && !ran(`SELECT 'unseen'`))
    assert.deepEqual(await scene.shop.truth('SELECT FROM orders WHERE id = 30'), [])
    await client.end()
  })

  it('fails a transaction that it stops at the target too: nothing of it is committed', async () => {
    const client = await scene.connect()
    await client.query('BEGIN')
    await client.query('INSERT INTO orders VALUES (31, 1, 1)')
    await limitFiles(scene.gateway.pid, await size())
    assert.equal((await told(client.query('SELECT 31'))).refusal, 'unrecordable')
    await limitFiles(scene.gateway.pid, undefined)
    assert.equal((await client.query('COMMIT')).command, 'ROLLBACK')
    await client.end()
    assert.deepEqual(await scene.shop.truth('SELECT FROM orders WHERE id = 31'), [])
  })

  it('ends a session whose answer it cannot take: the client does not get what the log has not', async () => {
    const client = await scene.connect()
    const met = scene.sessions.meet('answered', 'late', 'hold')
    const answer = told(client.query(`SELECT 'late' AS a`))
    await met
    await limitFiles(scene.gateway.pid, await size())
    scene.sessions.release()
    assert.deepEqual(await answer, { ...UNRECORDABLE, severity: 'FATAL' })
    await within('the role is gone', async () => (await scene.shop.roles()).length === 0)
    await limitFiles(scene.gateway.pid, undefined)
  })

  it('lets nobody in, and makes no role; afterwards it does, and the log verifies', async () => {
    await limitFiles(scene.gateway.pid, await size())
    const { severity, code, refusal } = await told(scene.connect())
    assert.deepEqual([severity, code, refusal], ['FATAL', 'SP004', 'unrecordable'])
    assert.deepEqual(await scene.shop.roles(), [])
    await limitFiles(scene.gateway.pid, undefined)
    const client = await scene.connect()
    await client.end()
    await scene.settled()
  })

  it('is on a disk that is nearly full: nothing new happens, ends are still recorded; with room again all goes on', async (t) => {
    if (whyNoDisk !== '') return t.skip(`no file system of its own can be mounted here: ${whyNoDisk}`)
    const [client, id] = await opened()
    const [other] = await opened()
    await fill()
    await within('statements are refused', async () => (await refusalOf(other)) === 'unrecordable')
    assert.deepEqual(await told(client.query('SELECT 1')), UNRECORDABLE)
    assert.equal((await told(scene.connect())).refusal, 'unrecordable')
    await client.end()
    await within('its end is recorded', async () => (await recordsOf(id)).at(-1)?.type === 'session.closed')
    const types = (await recordsOf(id)).map(({ type }) => type)
    assert.deepEqual(types, ['session.opened', 'lease.revoked', 'session.closed'])
    await roomAgain()
  })

  it('is on a disk that becomes nearly full while an operation runs: how that ended is still recorded', async (t) => {
    if (whyNoDisk !== '') return t.skip(`no file system of its own can be mounted here: ${whyNoDisk}`)
    const [client, id] = await opened()
    const [other] = await opened()
    const met = scene.sessions.meet('answered', 'late', 'hold')
    const answer = told(client.query(`SELECT 'late' AS a`))
    await met
    await fill()
    await within('statements are refused', async () => (await refusalOf(other)) === 'unrecordable')
    scene.sessions.release()
    assert.deepEqual(await answer, { ...UNRECORDABLE, severity: 'FATAL' })
    await within('its end is recorded', async () => (await recordsOf(id)).at(-1)?.type === 'session.closed')
    const ends = (await recordsOf(id)).flatMap((entry) =>
      entry.type === 'answer' ? [[entry.size, entry.outcome]] : [],
    )
    assert.deepEqual(ends, [[0, { status: 'done', rows: 1 }]])
    await roomAgain()
  })

  /** Less is left than the log keeps for ends; the gateway looks for that a few times a second. */
  const fill = async (): Promise<void> => {
    const { bavail, bsize } = await statfs(scene.log)
    await writeFile(ballast(), Buffer.alloc(bavail * bsize - (15 << 20)))
  }
  const roomAgain = async (): Promise<void> => {
    await rm(ballast())
    await within('somebody comes in', () =>
      scene.connect().then(
        (client) => client.end().then(() => true),
        () => false,
      ),
    )
  }
  const opened = async (): Promise<readonly [Client, SessionId]> => {
    const client = await scene.connect()
    const last = (await scene.records()).findLast(({ type }) => type === 'session.opened')
    return [client, (last as SessionOpened).session]
  }
  const recordsOf = (session: SessionId): Promise<readonly StoredEntry[]> =>
    Array.fromAsync(readLog({ dir: scene.log, session }))
  const refusalOf = (client: Client): Promise<string | undefined> =>
    client.query('SELECT 1').then(
      () => undefined,
      (error: { readonly detail: string }) => (JSON.parse(error.detail) as { code: string }).code,
    )

  it('whose disk is slow holds back what takes effect at once, and nothing else; memory stays bounded', async () => {
    const writer = await rawConnect({ port: scene.gateway.postgres, password: scene.token })
    const reader = await scene.connect()
    saboteur.set({ slowDisk: true })
    const before = await memoryOf(scene.gateway.pid)
    const write = query(`INSERT INTO orders VALUES (1000, 1, 1) /* ${'x'.repeat(20_000)} */`)
    writer.send(Buffer.alloc(write.length * 5_000, write))
    for (let turn = 0; turn < 10; turn++) assert.equal((await reader.query(`SELECT ${turn}`)).rowCount, 1)
    assert.deepEqual(await scene.shop.truth('SELECT FROM orders WHERE id >= 1000'), [])
    const grown = (await memoryOf(scene.gateway.pid)) - before
    assert.ok(grown < 64 << 20, `${grown} bytes more for a client that sends 100 MB`)
    assert.ok(writer.socket.writableLength > 64 << 20, 'the client is not held back')
    saboteur.set({})
    await writer.ready()
    await writer[Symbol.asyncDispose]()
    await reader.end()
  })
})
