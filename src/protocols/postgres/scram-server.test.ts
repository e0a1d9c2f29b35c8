import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { Fault } from '../../gateway/fault.ts'
import { Secret } from '../../gateway/secret.ts'
import { mockVerifier, readVerifier, scramVerifier } from '../../grants/scram-verifier.ts'
import { createScramClient, type ChannelBinding } from './scram.ts'
import { createScramServer, type Mechanism, type ScramServer } from './scram-server.ts'

const isProtocolFault = (error: unknown): boolean => error instanceof Fault && error.code === 'protocol'
const SALT = Buffer.from('W22ZaJ0SNY7soEsUEjb6gQ==', 'base64')
const verifier = readVerifier(await scramVerifier('pencil', SALT, 4096))
const certificate = Buffer.from('hash of a certificate')

const server = (mechanism: Mechanism = 'SCRAM-SHA-256', binding?: Buffer): ScramServer =>
  createScramServer({ mechanism, binding, verifier, nonce: '%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0' })

/** Both sides of an exchange; throws what either does. */
async function exchange(password: string, client: ChannelBinding, ours?: Buffer, known = verifier): Promise<boolean> {
  const side = createScramClient(new Secret(password), client)
  const scram = createScramServer({ mechanism: side.mechanism, binding: ours, verifier: known })
  const final = await side.clientFinal(scram.serverFirst(side.clientFirst))
  const { proven, serverFinal } = scram.finish(final)
  if (proven) side.verify(serverFinal)
  return proven
}

describe('the server of SCRAM-SHA-256', () => {
  it('answers the example of RFC 7677', () => {
    const scram = server()
    const first = scram.serverFirst(Buffer.from('n,,n=user,r=rOprNGfwEbeRWgbNEkqO'))
    assert.equal(
      first.toString(),
      'r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096',
    )
    const last =
      'c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ='
    const { proven, serverFinal } = scram.finish(Buffer.from(last))
    assert.deepEqual([proven, String(serverFinal)], [true, 'v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4='])
  })

  it('believes whoever knows the password, with and without channel binding', async () => {
    assert.equal(await exchange('pencil', { kind: 'none' }), true)
    assert.equal(await exchange('pencil', { kind: 'not offered' }), true)
    assert.equal(await exchange('pencil', { kind: 'none' }, certificate), true)
    assert.equal(await exchange('pencil', { kind: 'tls-server-end-point', data: certificate }, certificate), true)
  })

  it('believes nobody else, and nobody for a user that there is not', async () => {
    for (const password of ['pencils', '', 'Pencil']) assert.equal(await exchange(password, { kind: 'none' }), false)
    const none = mockVerifier('key', 'grt_none')
    assert.equal(await exchange('pencil', { kind: 'none' }, undefined, none), false)
  })

  it('goes on with no client that is tied to another TLS connection, or was talked out of it', async () => {
    const other = Buffer.from('hash of another one')
    const foreign = exchange('pencil', { kind: 'tls-server-end-point', data: other }, certificate)
    await assert.rejects(foreign, isProtocolFault)
    await assert.rejects(exchange('pencil', { kind: 'not offered' }, certificate), isProtocolFault)
    const plus = server('SCRAM-SHA-256-PLUS', certificate)
    assert.throws(() => plus.serverFirst(Buffer.from('n,,n=,r=abc')), isProtocolFault)
    assert.throws(() => server().serverFirst(Buffer.from('p=tls-server-end-point,,n=,r=abc')), isProtocolFault)
    const unique = server('SCRAM-SHA-256-PLUS', certificate)
    assert.throws(() => unique.serverFirst(Buffer.from('p=tls-unique,,n=,r=abc')), isProtocolFault)
  })

  it('takes no malformed first message, no other identity and no extension that must be understood', () => {
    for (const text of [
      '',
      'n,,',
      'n,,n=,r=',
      'n,,n=',
      'n,a=root,n=,r=abc',
      'n,,m=x,n=,r=abc',
      'n,,n=,r=a,b',
      'x,,n=,r=a',
    ])
      assert.throws(() => server().serverFirst(Buffer.from(text)), isProtocolFault, text)
    assert.throws(() => server().serverFirst(Buffer.from(`n,,n=,r=${'a'.repeat(513)}`)), isProtocolFault)
  })

  it('takes no last message of another exchange', () => {
    const proof = `p=${'A'.repeat(43)}=`
    const nonces = 'r=abc%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0'
    for (const text of [
      '',
      proof,
      `c=biws,r=abc,${proof}`,
      `c=biws,${nonces}`,
      `c=biws,${nonces}x,${proof}`,
      `c=eSws,${nonces},${proof}`,
      `c=biws,${nonces},p=AAAA`,
      `c=biws,${nonces},${proof},x=y`,
    ]) {
      const scram = server()
      scram.serverFirst(Buffer.from('n,,n=,r=abc'))
      assert.throws(() => scram.finish(Buffer.from(text)), isProtocolFault, text)
    }
    const scram = server()
    scram.serverFirst(Buffer.from('n,,n=,r=abc'))
    assert.equal(scram.finish(Buffer.from(`c=biws,${nonces},${proof}`)).proven, false)
    assert.throws(() => server().finish(Buffer.from(`c=biws,r=,${proof}`)), isProtocolFault)
  })
})
