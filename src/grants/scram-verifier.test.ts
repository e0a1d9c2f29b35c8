import assert from 'node:assert/strict'
import { createHash, createHmac } from 'node:crypto'
import { describe, it } from 'node:test'
import { Fault } from '../gateway/fault.ts'
import { scramVerifier } from './scram-verifier.ts'

describe('scramVerifier', () => {
  it('agrees with the exchange of RFC 7677 section 3', async () => {
    const verifier = await scramVerifier('pencil', Buffer.from('W22ZaJ0SNY7soEsUEjb6gQ==', 'base64'), 4096)
    const [, storedKey, serverKey] = /^SCRAM-SHA-256\$4096:W22ZaJ0SNY7soEsUEjb6gQ==\$(.+):(.+)$/.exec(verifier) ?? []
    const nonce = 'rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0'
    const message = `n=user,r=rOprNGfwEbeRWgbNEkqO,r=${nonce},s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,c=biws,r=${nonce}`
    assert.equal(hmac(serverKey!, message).toString('base64'), '6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=')
    const proof = Buffer.from('dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=', 'base64')
    const signature = hmac(storedKey!, message)
    const clientKey = proof.map((byte, at) => byte ^ signature[at]!)
    assert.equal(createHash('sha256').update(clientKey).digest('base64'), storedKey)
  })

  it('takes a fresh salt for every password', async () => {
    assert.notEqual(await scramVerifier('pencil'), await scramVerifier('pencil'))
  })

  it('refuses what SASLprep would change', async () => {
    for (const password of ['', 'two words', 'pässword', 'a\0b']) {
      await assert.rejects(scramVerifier(password), (error) => error instanceof Fault && error.code === 'usage')
    }
  })
})

function hmac(base64Key: string, text: string): Buffer {
  return createHmac('sha256', Buffer.from(base64Key, 'base64')).update(text).digest()
}
