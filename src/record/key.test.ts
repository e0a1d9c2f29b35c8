import assert from 'node:assert/strict'
import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { Fault } from '../gateway/fault.ts'
import { isSigned, signCheckpoint } from './checkpoint.ts'
import { loadLogKey, readPublicKey } from './key.ts'
import { START } from './line.ts'

const isConfig = (error: unknown): boolean => error instanceof Fault && error.code === 'config'

describe('the key of the log', () => {
  it('is made once, for the gateway alone, with its public half beside it', () => {
    using data = dataDir()
    const first = loadLogKey(data.dir)
    assert.ok(first.publicKey.equals(loadLogKey(data.dir).publicKey))
    assert.deepEqual(readdirSync(join(data.dir, 'keys')), ['log.pem', 'log.pub.pem'])
    assert.equal(statSync(join(data.dir, 'keys/log.pem')).mode & 0o777, 0o600)
    const publicKey = readPublicKey(readFileSync(join(data.dir, 'keys/log.pub.pem'), 'utf8'))
    assert.ok(isSigned(publicKey, signCheckpoint(first.privateKey, 'i1', START, '2026-01-01T00:00:00.000Z')))
  })

  it('is refused when others may read it, it is not a key, it is another one, or it is gone', () => {
    const harms: readonly ((dir: string) => void)[] = [
      (dir) => chmodSync(join(dir, 'log.pem'), 0o640),
      (dir) => writeFileSync(join(dir, 'log.pem'), 'no key'),
      (dir) => writeFileSync(join(dir, 'log.pub.pem'), 'another'),
      (dir) => rmSync(join(dir, 'log.pem')),
    ]
    for (const harm of harms) {
      using data = dataDir()
      loadLogKey(data.dir)
      harm(join(data.dir, 'keys'))
      assert.throws(() => loadLogKey(data.dir), isConfig)
    }
    assert.throws(() => readPublicKey('no key'), isConfig)
  })
})

function dataDir(): Disposable & { readonly dir: string } {
  const dir = mkdtempSync(join(tmpdir(), 'sallyport-key-'))
  return { dir, [Symbol.dispose]: () => rmSync(dir, { recursive: true, force: true }) }
}
