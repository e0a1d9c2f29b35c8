import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import * as fc from 'fast-check'
import { Echo } from './echo.ts'

describe('Echo', () => {
  it('stars the secret however the answer is cut into chunks', () => {
    const secrets = ['sekret-sekret', 'abcabcabd']
    const piece = fc.constantFrom(...secrets, 'sekret-', 'abcabc', 'x', 'd')
    fc.assert(
      fc.property(fc.array(piece), fc.array(fc.integer({ min: 1, max: 9 })), (pieces, cuts) => {
        const text = Buffer.from(pieces.join(''))
        const echo = new Echo(secrets)
        const out: Buffer[] = []
        let at = 0
        for (const cut of cuts) {
          out.push(Buffer.from(echo.push(text.subarray(at, at + cut))))
          at += cut
        }
        out.push(Buffer.from(echo.push(text.subarray(at))), echo.end())
        const said = Buffer.concat(out).toString()
        assert.equal(said.length, text.length)
        assert.ok(!secrets.some((secret) => said.includes(secret)))
      }),
    )
  })

  it('keeps nothing back but the start of a secret, and ignores short ones', () => {
    assert.equal(new Echo(['sekret-sekret']).push(Buffer.from('data: 1\n\n')).toString(), 'data: 1\n\n')
    assert.equal(new Echo(['abc']).hide(Buffer.from('abc')).toString(), 'abc')
  })
})
