import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { cp, readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { sallyport, type Ended } from './command.ts'
import { startScene, type Scene } from './scene.ts'
import { within } from './waiting.ts'

/** The number of a record, from its line. */
const seqOf = (line: string): number => (JSON.parse(line) as { seq: number }).seq
const typeOf = (line: string): string => (JSON.parse(line) as { type: string }).type

describe('sallyport audit verify', () => {
  let scene: Scene
  let checkpoints: string
  let lines: readonly string[]
  let copies = 0
  before(async () => {
    scene = await startScene()
    const client = await scene.connect()
    await client.query('SELECT email FROM customers')
    await client.query('INSERT INTO orders VALUES (20, 1, 5)')
    await client.query('DROP TABLE orders').catch(() => undefined)
    await client.end()
    await within('a checkpoint ends the session', async () => scene.checkpoints.length > 0)
    checkpoints = join(scene.directory, 'checkpoints.log')
    const noise = ['sallyport is ready', ...scene.checkpoints.map((line) => `2026-01-31T12:00:00Z gateway-1 ${line}`)]
    await writeFile(checkpoints, noise.join('\n'))
    lines = (await readFile(await segmentOf(log()), 'utf8')).trimEnd().split('\n')
  })
  after(() => scene[Symbol.asyncDispose]())

  const log = (): string => join(scene.gateway.config.data, 'log')
  const segmentOf = async (dir: string): Promise<string> =>
    join(
      dir,
      (await readdir(dir)).find((name) => name.endsWith('.log'))!,
    )
  const keyFile = (): string => join(scene.gateway.config.data, 'keys', 'log.pub.pem')
  const insert = (): number =>
    lines.findIndex((line) => line.includes('"operation"') && line.includes('INSERT INTO orders'))

  /** Verifies a copy of the log that has other lines, away from the gateway: by the public key alone. */
  const verify = async (changed: readonly string[] | Buffer, ...more: readonly string[]): Promise<Ended> => {
    const copy = join(scene.directory, `copy-${++copies}`)
    await cp(log(), copy, { recursive: true })
    await writeFile(await segmentOf(copy), Buffer.isBuffer(changed) ? changed : `${changed.join('\n')}\n`)
    return sallyport(['audit', 'verify', '--log', copy, '--key', keyFile(), ...more])
  }
  const withCheckpoints = (changed: readonly string[] | Buffer): Promise<Ended> =>
    verify(changed, '--checkpoint', checkpoints)

  it('finds the log of a running gateway intact', async () => {
    const { code, stdout } = await sallyport(['audit', 'verify', '--config', scene.config, '--checkpoint', checkpoints])
    assert.equal(
      stdout,
      `intact: ${lines.length} records, vouched for by checkpoints up to record ${lines.length - 1}\n`,
    )
    assert.equal(code, 0)
  })

  it('finds a copy intact by its public key alone, and says so as JSON', async () => {
    const { code, stdout } = await verify(lines, '--json', '--checkpoint', checkpoints)
    const verification = JSON.parse(stdout) as Record<string, unknown>
    assert.deepEqual([code, verification.verdict, verification.records], [0, 'intact', lines.length])
  })

  it('names the record in which one bit of one byte was flipped', async () => {
    const bytes = Buffer.from(`${lines.join('\n')}\n`)
    const at = bytes.indexOf('INSERT INTO orders VALUES (20')
    bytes[at + 'INSERT INTO orders VALUES ('.length]! ^= 1
    const { code, stdout } = await withCheckpoints(bytes)
    assert.equal(code, 1)
    assert.match(stdout, /^tampered: /)
    assert.match(
      stdout,
      new RegExp(`^  changed: record ${seqOf(lines[insert()]!)} \\(\\d{12}\\.log:${insert() + 1}\\)`, 'm'),
    )
    assert.equal(stdout.match(/^  \w+: record/gm)?.length, 1)
  })

  it('names a record that is gone', async () => {
    const { code, stdout } = await withCheckpoints(lines.toSpliced(insert(), 1))
    assert.equal(code, 1)
    assert.match(stdout, new RegExp(`^  missing: record ${seqOf(lines[insert()]!)} `, 'm'))
  })

  it('names two records that changed places', async () => {
    const swapped = lines.with(insert(), lines[insert() + 1]!).with(insert() + 1, lines[insert()]!)
    const { code, stdout } = await withCheckpoints(swapped)
    assert.equal(code, 1)
    assert.match(stdout, new RegExp(`^  (missing|misplaced): record ${seqOf(lines[insert()]!)} `, 'm'))
  })

  it('finds a chain that was made anew without the key, also without printed checkpoints', async () => {
    const forged = chainAnew(lines.map((line) => line.replace('VALUES (20, 1, 5)', 'VALUES (20, 1, 1)')))
    for (const { code, stdout } of [await withCheckpoints(forged), await verify(forged)]) {
      assert.equal(code, 1)
      assert.match(stdout, /^  checkpoint: record \d+ .*was changed and the chain made anew without the key$/m)
    }
  })

  it('finds a chain made anew whose own checkpoints were taken out, by the printed ones', async () => {
    const bare = chainAnew(
      lines.filter((line) => typeOf(line) !== 'checkpoint').map((line) => line.replace('(20, 1, 5)', '(20, 1, 1)')),
    )
    const { code, stdout } = await withCheckpoints(bare)
    assert.equal(code, 1)
    assert.match(stdout, /^  checkpoint: record \d+ .*a printed checkpoint does not fit/m)
  })

  it('names the first record of a tail that was cut off before the last checkpoint', async () => {
    const { code, stdout } = await withCheckpoints(lines.slice(0, insert()))
    assert.equal(code, 1)
    assert.match(stdout, new RegExp(`^  cut: record ${seqOf(lines[insert()]!)}: the log ends at record`, 'm'))
  })

  it('tells a torn last record from tampering, and does not call it success', async () => {
    const whole = Buffer.from(`${lines.join('\n')}\n`)
    const { code, stdout } = await withCheckpoints(whole.subarray(0, whole.length - 20))
    assert.equal(code, 1)
    assert.match(stdout, /^torn: /)
    assert.match(stdout, new RegExp(`^  torn: record ${lines.length} was being written`, 'm'))
  })

  it('does not take checkpoints of another log for its own', async () => {
    const other = join(scene.directory, 'other.log')
    await writeFile(
      other,
      scene.checkpoints.map((line) => line.replace(/.$/, (last) => (last === 'A' ? 'Q' : 'A'))).join('\n'),
    )
    const { code, stdout } = await verify(lines, '--checkpoint', other)
    assert.equal(code, 1)
    assert.match(stdout, /is not signed with the key of this log|no good checkpoint/)
  })

  it('is wrong usage without a log, and a failure when the file of checkpoints is not there', async () => {
    const none = await sallyport(['audit', 'verify'])
    assert.deepEqual([none.code, none.stdout], [2, ''])
    assert.match(none.stderr, /--config FILE or SALLYPORT_CONFIG/)
    const missing = await verify(lines, '--checkpoint', join(scene.directory, 'nothing-here'))
    assert.deepEqual([missing.code, missing.stdout], [1, ''])
    assert.match(missing.stderr, /^sallyport: .*nothing-here/)
    assert.equal(missing.stderr.trim().split('\n').length, 1)
  })

  it('does not call a directory without a log intact', async () => {
    const { code, stdout, stderr } = await sallyport(['audit', 'verify', '--log', '/dev/null/x', '--key', keyFile()])
    const empty = await sallyport(['audit', 'verify', '--log', join(scene.directory, 'policies'), '--key', keyFile()])
    assert.deepEqual([code, stdout, empty.code, empty.stdout], [1, '', 1, ''])
    assert.match(stderr, /^sallyport: .+\n$/)
    assert.match(empty.stderr, /^sallyport: There is no log in .*policies\.\n$/)
  })
})

/** What somebody can do who may write the file but has no key: number and chain the lines anew. */
function chainAnew(lines: readonly string[]): readonly string[] {
  let previous = '0'.repeat(64)
  return lines.map((line, index) => {
    const body = line
      .replace(/,"hash":"[0-9a-f]{64}"\}$/, '')
      .replace(/^\{"v":1,"seq":\d+/, `{"v":1,"seq":${index + 1}`)
    previous = createHash('sha256').update(previous).update(body).digest('hex')
    return `${body},"hash":"${previous}"}`
  })
}
