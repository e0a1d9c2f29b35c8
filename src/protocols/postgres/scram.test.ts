import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { Fault } from '../../gateway/fault.ts'
import { Secret } from '../../gateway/secret.ts'
import { createScramClient } from './scram.ts'

const isTargetFault = (error: unknown): boolean => error instanceof Fault && error.code === 'target'
const nonce = 'rOprNGfwEbeRWgbNEkqO'
const client = () => createScramClient(new Secret('pencil'), { kind: 'none' }, nonce)
const serverFirst = (text: string) => Buffer.from(text)
const challenge = `r=${nonce}%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096`

describe('SCRAM-SHA-256', () => {
  it('answers the example of RFC 7677, save for the user name that PostgreSQL leaves empty', async () => {
    const scram = client()
    assert.equal(scram.clientFirst.toString(), `n,,n=,r=${nonce}`)
    const final = (await scram.clientFinal(serverFirst(challenge))).toString()
    assert.match(final, /^c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj\)hNlF\$k0,p=[A-Za-z0-9+/]{43}=$/)
  })

  it('refuses a nonce that is not ours and more', async () => {
    for (const foreign of [nonce, `x${nonce}more`, 'other', `${nonce},m=ext`])
      await assert.rejects(client().clientFinal(serverFirst(`r=${foreign},s=AAAA,i=4096`)), isTargetFault)
  })

  it('refuses too few and too many iterations', async () => {
    for (const count of ['1', '4095', '1000001', '99999999999', '-4096', '4096.5', '04096', ''])
      await assert.rejects(client().clientFinal(serverFirst(`r=${nonce}x,s=AAAA,i=${count}`)), isTargetFault, count)
  })

  it('refuses extensions and malformed challenges', async () => {
    const malformed = ['', 'e=other-error', `m=x,${challenge}`, `${challenge},x=y`, `r=${nonce}x,s=?,i=4096`]
    for (const text of malformed) await assert.rejects(client().clientFinal(serverFirst(text)), isTargetFault, text)
  })

  it('refuses a target that has not proved that it knows the password', async () => {
    const scram = client()
    assert.throws(() => scram.verify(Buffer.from(`v=${'A'.repeat(43)}=`)), isTargetFault)
    await scram.clientFinal(serverFirst(challenge))
    for (const text of [`v=${'A'.repeat(43)}=`, 'v=', '', 'e=invalid-proof', `v=${'A'.repeat(43)}=,x=y`])
      assert.throws(() => scram.verify(Buffer.from(text)), isTargetFault, text)
  })
})
