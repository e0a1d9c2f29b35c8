import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { findJwts } from './jwt.ts'

function found(text: string): string[] {
  const bytes = Buffer.from(text)
  return (findJwts(bytes) ?? []).map(({ start, end }) => bytes.subarray(start, end).toString())
}

function part(value: string): string {
  return Buffer.from(value).toString('base64url')
}

/** RFC 7519, 3.1 and RFC 7516, 3.3 (shortened). */
const TOKEN =
  'eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODB9.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk'
const ENCRYPTED =
  'eyJhbGciOiJSU0EtT0FFUCIsImVuYyI6IkEyNTZHQ00ifQ.OKOawDo13gRp.48V1_ALb6US04U3b.5eym8TW_c8SuK0lt.XFBoMYUZodetZdvT'

describe('jwt', () => {
  it('finds tokens whatever is around them', () => {
    const around = [
      '',
      '"',
      "'",
      '{',
      '(',
      ',',
      ':',
      '=',
      '/',
      '+',
      ' ',
      '\n',
      '\t',
      'é',
      '漢',
      '😀',
      '\\n',
      '\0',
      '<',
      '~',
    ]
    for (const token of [TOKEN, ENCRYPTED])
      for (const before of around)
        for (const after of around) if (after !== '\\n') assert.deepEqual(found(before + token + after), [token])
    for (const before of ['token-', 'session_', 'x', '1', 'Bearer.', 'a.b.', '\\n', '\\u00e9', '-', '..'])
      assert.deepEqual(found(before + TOKEN), [TOKEN], before)
    for (const after of ['.', '. And', '..', '.x', '\\n']) assert.deepEqual(found(TOKEN + after), [TOKEN], after)
    assert.deepEqual(found(`Authorization: Bearer ${TOKEN}\r\n`), [TOKEN])
    assert.deepEqual(found(`https://x.example/?t=${TOKEN}&x=1`), [TOKEN])
  })

  it('finds them whatever their header looks like', () => {
    const headers = [
      '{"alg":"none"}',
      '{"alg":"dir"}',
      '{ "alg": "HS256" }',
      '{\n  "alg": "RS256",\n  "typ": "JWT"\n}',
      '{\r\n"alg":"ES256"}\n',
      '{\t"alg":"EdDSA"}',
      '{"typ":"JWT","alg":"PS256"}',
      '{"kid":"é漢😀","alg":"HS256"}',
      '{"jwk":{"kty":"EC","x":"}"},"alg":"HS256"}',
      '{"crit":["b64"],"b64":false,"alg":"HS256"}',
      JSON.stringify({ alg: 'HS256', x5c: ['A'.repeat(5000)] }),
    ]
    for (const header of headers) {
      const token = `${part(header)}.${part('{"sub":"ada"}')}.c2ln`
      assert.deepEqual(found(`<${token}>`), [token], header)
    }
  })

  it('finds them without payload or signature', () => {
    const header = part('{"alg":"HS256","typ":"JWT"}')
    for (const rest of ['..c2ln', '.eyJzdWIiOiJhZGEifQ.', '.a.b', '..'])
      assert.deepEqual(found(header + rest), [header + rest])
  })

  it('finds every one of a list', () => {
    assert.deepEqual(found(`${TOKEN} ${TOKEN},${ENCRYPTED}`), [TOKEN, TOKEN, ENCRYPTED])
    assert.deepEqual(found(`${TOKEN}.${TOKEN}`), [TOKEN, TOKEN])
    assert.deepEqual(found(`a.b.c.${TOKEN}`), [TOKEN])
  })

  it('lets other texts pass', () => {
    const [header, payload, signature] = TOKEN.split('.')
    const passing = [
      `${header}`,
      `${header}.${payload}`,
      `${header} .${payload}.${signature}`,
      `${header}:${payload}:${signature}`,
      `${payload}.${payload}.${signature}`,
      `${signature}.${payload}.${signature}`,
      `${header?.slice(0, -4)}.${payload}.${signature}`,
      `${header?.slice(4)}.${payload}.${signature}`,
      `${part('{"typ":"JWT","kid":"none"}')}.${payload}.${signature}`,
      `${part('{"alg":1,"typ":"JWT","a":1}')}.${payload}.${signature}`,
      `${part('{"alg":"HS256","typ":JWT}')}.${payload}.${signature}`,
      `${part('["alg","HS256","typ","JWT"]')}.${payload}.${signature}`,
      `${part('"alg: HS256, typ: JWT"')}.${payload}.${signature}`,
      `${part('{"alg":"HS256","typ":"JWT"')}.${payload}.${signature}`,
      `${part(JSON.stringify({ alg: 'HS256', x: 'A'.repeat(20_000) }))}.${payload}.${signature}`,
      'www.database-replica-01.eu-west-1.example.com',
      'org.example.gateway.protocols.postgres.Session',
      'eyJ.eyJ.eyJeyJeyJeyJeyJeyJ',
      'eyJhbGci.eyJhbGci.eyJhbGci',
      'eyes.eyewitness.eyebrow.example',
      'ewe.newest.sewer-and-brewery',
      '550e8400-e29b-41d4-a716-446655440000',
      '1.2.3-beta.4.5.6.7.8.9.10',
      '192.168.100.200.192.168.100.200',
      '................................',
      '--------------------------------',
      'file.name.with.many.dots.tar.gz',
      '',
    ]
    for (const text of passing) assert.deepEqual(found(text), [], text)
  })
})
