import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { describe, it } from 'node:test'
import { findPrivateKeys } from './private-key.ts'

function found(text: string): string[] {
  const bytes = Buffer.from(text)
  return (findPrivateKeys(bytes) ?? []).map(({ start, end }) => bytes.subarray(start, end).toString())
}

function block(label: string, body = '\nMC4CAQAwBQYDK2VwBCIEIA==\n'): string {
  return `-----BEGIN ${label}-----${body}-----END ${label}-----`
}

const KEY = block('PRIVATE KEY')

describe('private_key', () => {
  it('finds the keys that Node makes', () => {
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
    const secret = { cipher: 'aes-128-cbc', passphrase: 'x' }
    for (const text of [
      privateKey.export({ type: 'pkcs8', format: 'pem' }),
      privateKey.export({ type: 'sec1', format: 'pem' }),
      privateKey.export({ type: 'pkcs8', format: 'pem', ...secret }),
      privateKey.export({ type: 'sec1', format: 'pem', ...secret }),
    ])
      assert.deepEqual(found(`key:\n${text.toString()}`), [text.toString().trim()])
  })

  it('finds keys of every label', () => {
    const labels = ['PRIVATE KEY', 'PGP PRIVATE KEY BLOCK', 'PRIVATE KEY BLOCK', 'X9 42 DH PRIVATE KEY']
    for (const kind of ['RSA', 'EC', 'DSA', 'DH', 'OPENSSH', 'ENCRYPTED', 'ANY', 'ED25519'])
      labels.push(`${kind} PRIVATE KEY`)
    for (const label of labels) assert.deepEqual(found(`a ${block(label)} b`), [block(label)], label)
    const ssh2 = '---- BEGIN SSH2 ENCRYPTED PRIVATE KEY ----\nP2/56w\n---- END SSH2 ENCRYPTED PRIVATE KEY ----'
    assert.deepEqual(found(`${ssh2}\n`), [ssh2])
  })

  it('finds them however they are written', () => {
    const body = 'MC4CAQAwBQYDK2VwBCIEIA=='
    const bodies = [
      `\r\n${body}\r\n`,
      `\\n${body}\\n`,
      `\\r\\n${body}\\r\\n`,
      body,
      ` ${body} `,
      '',
      '\n\n',
      `\\\\n${body}\\\\n`,
    ]
    bodies.push(`\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\n${body}\n`, `\nVersion: 1\n\n${body}\n=AAAA\n`)
    bodies.push(`" +\n"${body}" +\n"`, `\n# ${body} é 漢\n`, `\n-----\n${body}\n`)
    for (const each of bodies) assert.deepEqual(found(`x${block('PRIVATE KEY', each)}y`), [block('PRIVATE KEY', each)])
  })

  it('finds them whatever is around them', () => {
    for (const around of ['', '"', "'", '{', ',', 'é', '漢', '😀', ' ', '\n', '\\n', 'x', '_', '='])
      assert.deepEqual(found(around + KEY + around), [KEY], around)
    assert.deepEqual(found(`-${KEY}-`), [`-${KEY}-`])
  })

  it('finds every one of a list, and not what is between', () => {
    const certificate = block('CERTIFICATE')
    assert.deepEqual(found(`${certificate}\n${KEY}\n${certificate}\n${block('RSA PRIVATE KEY')}`), [
      KEY,
      block('RSA PRIVATE KEY'),
    ])
    assert.deepEqual(found(KEY + KEY), [`${KEY}-----`, `-----${KEY}`])
    assert.deepEqual(found(KEY + KEY.slice(5)), [KEY, KEY])
    assert.deepEqual(found(`${KEY}\n${KEY}`), [KEY, KEY])
  })

  it('takes a block without an end to the end of the text', () => {
    const cut = KEY.slice(0, -20)
    for (const text of [cut, `${cut}\nmore`, '-----BEGIN PRIVATE KEY-----', `${cut}\n${block('CERTIFICATE')}`])
      assert.deepEqual(found(`key ${text}`), [text])
    assert.deepEqual(found(`key ${cut}\0more`), [cut])
    assert.deepEqual(found(`${cut}\0${KEY}\0${cut}`), [cut, KEY, cut])
  })

  it('lets other texts pass', () => {
    const passing = [
      block('PUBLIC KEY'),
      block('RSA PUBLIC KEY'),
      block('CERTIFICATE'),
      block('CERTIFICATE REQUEST'),
      block('X509 CRL'),
      block('PGP PUBLIC KEY BLOCK'),
      block('PGP MESSAGE'),
      block('DH PARAMETERS'),
      block('PRIVATE KEYS'),
      block('PRIVATE'),
      block('private key'),
      block(`${'A'.repeat(80)} PRIVATE KEY`),
      '-----END PRIVATE KEY-----',
      '-----BEGIN-----',
      '-----BEGIN PRIVATE KEY',
      '---BEGIN PRIVATE KEY---',
      'BEGIN PRIVATE KEY',
      'my PRIVATE KEY is gone',
      '--------------------',
      '| a | b |\n|---|---|\n| ------ | ------ |',
      'a -- b --- c ---- d ----- e',
      '2024-01-01',
      '-----  BEGIN PRIVATE KEY-----',
      '-----BEGIN_PRIVATE_KEY-----',
      '-----BEGINPRIVATE KEY-----',
      '- - - - - BEGIN PRIVATE KEY - - - - -',
      '',
    ]
    for (const text of passing) assert.deepEqual(found(text), [], text)
  })
})
