import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { describe, it } from 'node:test'
import { BACKEND, FRONTEND, STARTUP } from './message-types.ts'

const README = readFileSync(new URL('README.md', import.meta.url), 'utf8')

/** Messages of "Message Formats" that share their type byte with another, or have none. */
const OTHERS = {
  client: ['StartupMessage', 'SASLInitialResponse', 'SASLResponse', 'GSSResponse'],
  target: ['Ok', 'KerberosV5', 'CleartextPassword', 'MD5Password', 'GSS', 'GSSContinue', 'SSPI']
    .concat(['SASL', 'SASLContinue', 'SASLFinal'])
    .map((kind) => `Authentication${kind}`),
}

/** The messages named in the first column of the table under a heading, word by word. */
function listed(heading: string): ReadonlySet<string> {
  const table = README.split(`## ${heading}\n`)[1]?.split('\n## ')[0] ?? ''
  const cells = [...table.matchAll(/^\| ([^|]*) \|/gm)].map(([, cell]) => cell!)
  return new Set(cells.flatMap((cell) => cell.match(/\b[A-Z][A-Za-z0-9]{3,}\b/g) ?? []))
}

describe("this folder's README", () => {
  it('says of every message of a client what happens to it', () => {
    const messages = [...Object.keys(FRONTEND), ...Object.keys(STARTUP), ...OTHERS.client]
    const named = listed('What a client may send')
    assert.deepEqual(
      messages.filter((name) => !named.has(name)),
      [],
    )
    assert.deepEqual(
      [...named].filter((name) => !messages.includes(name)),
      [],
    )
  })

  it('says of every message of a target what happens to it', () => {
    const messages = [...Object.keys(BACKEND).filter((name) => name !== 'Authentication'), ...OTHERS.target]
    const named = listed('What a target may send')
    assert.deepEqual(
      messages.filter((name) => !named.has(name)),
      [],
    )
    assert.deepEqual(
      [...named].filter((name) => !messages.includes(name)),
      [],
    )
  })
})
