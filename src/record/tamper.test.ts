import assert from 'node:assert/strict'
import { hash } from 'node:crypto'
import { renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { chainHash, readLine } from './line.ts'
import { sampleLog } from './sample-log.ts'
import type { SampleLog } from './sample-log.ts'

describe('verifying a log that was tampered with', () => {
  it('accepts an untouched log and says how far a checkpoint vouches', async () => {
    using log = sampleLog()
    await log.fill(3)
    const result = await log.verify()
    assert.deepEqual(result.problems, [])
    assert.equal(result.verdict, 'intact')
    assert.deepEqual([result.records, result.last, result.vouched, result.checkpoints], [6, 6, 5, 1])
  })

  it('finds every single flipped byte and names its record, once', async () => {
    using log = sampleLog()
    await log.fill(3)
    const bytes = log.read()
    let seq = 1
    for (let offset = 0; offset < bytes.length; offset++) {
      const flipped = Buffer.from(bytes)
      flipped[offset]! ^= 1 << (offset % 8)
      log.write(flipped)
      const result = await log.verifyAlone()
      const named = result.torn ?? result.problems[0]
      assert.deepEqual([named?.seq, named?.line], [seq, seq], `offset ${offset}: ${JSON.stringify(result)}`)
      const splits = flipped[offset] === 0x0a
      assert.ok(result.problemCount <= 1 || splits, `offset ${offset}: ${JSON.stringify(result.problems)}`)
      if (bytes[offset] === 0x0a) seq += 1
    }
  })

  it('finds a byte changed to a newline', async () => {
    using log = sampleLog()
    await log.fill(3)
    const bytes = log.read()
    const start = bytes.indexOf('SELECT 1')
    bytes[start] = 0x0a
    log.write(bytes)
    const result = await log.verifyAlone()
    assert.equal(result.verdict, 'tampered')
    assert.equal(result.problems[0]?.seq, 4)
  })

  it('finds a removed record, whichever it is', async () => {
    using log = sampleLog()
    await log.fill(5)
    const lines = log.lines()
    for (let removed = 0; removed < lines.length - 1; removed++) {
      log.write(asText(lines.toSpliced(removed, 1)))
      const { problems } = await log.verifyAlone()
      assert.deepEqual([problems[0]?.kind, problems[0]?.seq], ['missing', removed + 1])
    }
  })

  it('finds two records that changed places', async () => {
    using log = sampleLog()
    await log.fill(5)
    const lines = log.lines()
    for (let first = 0; first < lines.length - 1; first++) {
      log.write(asText(lines.with(first, lines[first + 1]!).with(first + 1, lines[first]!)))
      const { problems } = await log.verifyAlone()
      assert.equal(problems[0]?.seq, first + 1)
    }
  })

  it('finds a record that stands there twice, and one that was put in', async () => {
    using log = sampleLog()
    await log.fill(5)
    const lines = log.lines()
    log.write(asText(lines.toSpliced(4, 0, lines[3]!)))
    assert.deepEqual(await kinds(log), ['misplaced 4'])
    log.write(asText(lines.toSpliced(4, 0, lines[3]!.replace('SELECT 1', 'SELECT 9'))))
    assert.equal((await kinds(log))[0], 'changed 5')
  })

  it('finds a chain that was made anew without the key, by the checkpoints in the log', async () => {
    using log = sampleLog()
    await log.fill(2)
    await log.fill(2)
    log.write(remade(log.lines(), (line) => line.replace('"SELECT 1"', '"SELECT 2"')))
    const { problems, vouched } = await log.verifyAlone()
    assert.deepEqual(
      problems.map(({ kind, seq }) => `${kind} ${seq}`),
      ['checkpoint 5', 'checkpoint 9'],
    )
    assert.match(problems[0]!.message, /records 1 to 4 was changed and the chain made anew without the key/)
    assert.equal(vouched, 0)
  })

  it('finds it too when the checkpoints in the log were fitted to it', async () => {
    using log = sampleLog()
    await log.fill(2)
    let before = ''
    const forged = remade(log.lines(), (line) => {
      const fitted = line.replace('"SELECT 1"', '"SELECT 2"').replace(/"head":"[^"]*"/, `"head":"${before}"`)
      before = hashOf(before, fitted)
      return fitted
    })
    log.write(forged)
    assert.deepEqual(await kinds(log), ['checkpoint 5'])
  })

  it('finds, by the printed checkpoints, a chain made anew without the checkpoints in the log', async () => {
    using log = sampleLog()
    await log.fill(3)
    const forged = remade(log.lines().slice(0, -1), (line) => line.replace('"SELECT 1"', '"SELECT 2"'))
    log.write(forged)
    assert.deepEqual([(await log.verifyAlone()).verdict, (await log.verifyAlone()).vouched], ['intact', 0])
    const { problems } = await log.verify()
    assert.deepEqual(
      problems.map(({ kind, seq }) => `${kind} ${seq}`),
      ['checkpoint 5'],
    )
  })

  it('finds, by the printed checkpoints, a tail that was cut off, and names both ends', async () => {
    using log = sampleLog()
    await log.fill(5)
    const lines = log.lines()
    log.write(asText(lines.slice(0, 4)))
    const { problems, verdict } = await log.verify()
    assert.equal(verdict, 'tampered')
    assert.equal(problems[0]?.message, 'the log ends at record 4, but the gateway signed a checkpoint for record 7')
  })

  it('finds an empty log and a log that is gone, by the printed checkpoints', async () => {
    using log = sampleLog()
    await log.fill(2)
    log.write('')
    assert.equal((await log.verify()).problems[0]?.kind, 'cut')
    rmSync(log.dir, { recursive: true })
    assert.equal((await log.verify()).problems[0]?.kind, 'cut')
  })

  it('reports a torn last line as that, not as tampering', async () => {
    using log = sampleLog()
    await log.fill(3)
    const whole = log.read()
    log.write(Buffer.concat([whole, Buffer.from('{"v":1,"seq":7,"at":"20')]))
    const result = await log.verify()
    assert.equal(result.verdict, 'torn')
    assert.deepEqual(result.torn, { seq: 7, segment: '000000000001.log', line: 7, bytes: 23 })
    assert.deepEqual(result.problems, [])
  })

  it('does not take for torn what a checkpoint vouches for', async () => {
    using log = sampleLog()
    await log.fill(3)
    const bytes = log.read()
    log.write(bytes.subarray(0, bytes.lastIndexOf('\n', -2) - 5))
    const result = await log.verify()
    assert.equal(result.verdict, 'tampered')
    assert.deepEqual(
      result.problems.map(({ kind, seq }) => `${kind} ${seq}`),
      ['cut 5'],
    )
  })

  it('finds a deleted, an exchanged and a renamed segment', async () => {
    using log = sampleLog()
    await log.fill(12, { segmentBytes: 1200 })
    const names = log.segments()
    assert.ok(names.length >= 4, `${names.length} segments`)
    const [, second, third] = names as readonly [string, string, string]
    const at = (name: string) => join(log.dir, name)
    const move = (from: string, to: string) => renameSync(at(from), at(to))

    move(second, 'away')
    assert.equal((await kinds(log))[0], `missing ${Number.parseInt(second, 10)}`)
    move(third, second)
    move('away', third)
    assert.equal((await kinds(log))[0], `missing ${Number.parseInt(second, 10)}`)
    move(third, 'away')
    move(second, third)
    move('away', '000000000002.log')
    assert.deepEqual(await kinds(log), [`segment ${Number.parseInt(second, 10)}`])
    move('000000000002.log', second)
    assert.deepEqual(await kinds(log), [])
    move(names[0]!, 'away')
    assert.equal((await kinds(log))[0], 'missing 1')
  })

  it('refuses printed checkpoints that are changed, of another log, or none at all', async () => {
    using log = sampleLog()
    using other = sampleLog()
    await log.fill(2)
    await other.fill(2)
    const [line] = log.printed as readonly [string]
    assert.equal((await log.verify([`2026-01-01T00:00:00Z gateway-1 ${line}`, '{"level":30}'])).verdict, 'intact')
    for (const lines of [[line.replace(' 4 ', ' 3 ')], [line.slice(0, -3)], other.printed, [], ['hello']]) {
      assert.equal((await log.verify(lines)).verdict, 'tampered', lines.join())
    }
  })
})

async function kinds(log: SampleLog): Promise<readonly string[]> {
  return (await log.verifyAlone()).problems.map(({ kind, seq }) => `${kind} ${seq}`)
}

function asText(lines: readonly string[]): string {
  return lines.map((line) => `${line}\n`).join('')
}

/** What one does who can write the file but has not the key: changes lines, then makes every hash anew. */
function remade(lines: readonly string[], change: (line: string) => string): string {
  let before = '0'.repeat(64)
  return asText(
    lines.map((line) => {
      const changed = change(line)
      before = hashOf(before, changed)
      return `${changed.slice(0, -75)},"hash":"${before}"}`
    }),
  )
}

/** By the rule of the documentation, written down a second time. */
function hashOf(before: string, line: string): string {
  return hash('sha256', (before || '0'.repeat(64)) + line.slice(0, -75), 'hex')
}

describe('the rule of the chain', () => {
  it('is what the documentation says', async () => {
    using log = sampleLog()
    await log.fill(1)
    let before = '0'.repeat(64)
    for (const line of log.lines()) {
      const read = readLine(Buffer.from(line))!
      assert.equal(read.hash, hashOf(before, line))
      assert.equal(read.hash, chainHash(before, read.body))
      assert.equal((JSON.parse(line) as { hash: string }).hash, read.hash)
      before = read.hash
    }
  })
})
