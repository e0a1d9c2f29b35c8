import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { readStart } from './startup.ts'

const start = (parameters: Readonly<Record<string, string>>): ReturnType<typeof readStart> =>
  readStart(new Map(Object.entries({ user: 'agent', database: 'orders', ...parameters })))

function asked(parameters: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  const read = start(parameters)
  if ('refusal' in read) assert.fail(read.refusal.message)
  return read.asked
}

describe('the parameters of a start', () => {
  it('are the target, how values look, and settings to decide on', () => {
    const read = start({ DateStyle: 'ISO', client_encoding: "'utf-8'", statement_timeout: '5s', application_name: 'x' })
    assert.deepEqual(read, {
      target: 'orders',
      application: 'x',
      settings: { datestyle: 'ISO', application_name: 'x' },
      asked: { statement_timeout: '5s' },
    })
  })

  it('may have settings in options, as the server reads them', () => {
    const options = '-c statement_timeout=5s  --lock-timeout=1s -csome.var=a\\ b\\\\c\\=d\t--empty='
    assert.deepEqual(asked({ options }), {
      statement_timeout: '5s',
      lock_timeout: '1s',
      'some.var': 'a b\\c=d',
      empty: '',
    })
    assert.deepEqual(asked({ options: ' ' }), {})
  })

  it('count more than options where both have a setting', () => {
    assert.deepEqual(asked({ lock_timeout: '2s', options: '-c LOCK_TIMEOUT=1s' }), { lock_timeout: '2s' })
  })

  it('may say that nothing is to be replicated', () => {
    assert.deepEqual(asked({ replication: 'off' }), {})
  })

  const refused: readonly Readonly<Record<string, string>>[] = [
    { replication: 'database' },
    { options: '-c replication=database' },
    { options: '-c user=postgres' },
    { options: '-c database=payroll' },
    { options: '-c options=-crole=postgres' },
    { options: '-W 5' },
    { options: '-c statement_timeout' },
    { options: '-c' },
    { options: 'statement_timeout=1' },
    { options: '-c "a b"=1' },
    { options: '-c __proto__=1' },
    { options: '-c client_encoding=latin1' },
    { client_encoding: 'LATIN1' },
    { 'x; DROP TABLE orders': '1' },
    { '_pq_.x': '1' },
  ]
  for (const parameters of refused) {
    it(`are not taken when they are ${JSON.stringify(parameters)}`, () => {
      assert.ok('refusal' in start(parameters))
    })
  }
})
