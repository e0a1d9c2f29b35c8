import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { findAwsKeys } from './aws-key.ts'

function found(text: string): string[] {
  const bytes = Buffer.from(text)
  return (findAwsKeys(bytes) ?? []).map(({ start, end }) => bytes.subarray(start, end).toString())
}

/** The examples of the AWS documentation. */
const ID = 'AKIAIOSFODNN7EXAMPLE'
const TEMPORARY = 'ASIAIOSFODNN7EXAMPLE'
const SECRET = 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY'

describe('aws_key', () => {
  it('finds ids whatever is around them', () => {
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
      '_',
      '-',
      '.',
      ' ',
      '\n',
      'é',
      '漢',
      '😀',
      '\\n',
      '\0',
    ]
    for (const id of [ID, TEMPORARY, 'AKIA234567ABCDEF', `ASIA${'A'.repeat(124)}`])
      for (const each of around) assert.deepEqual(found(each + id + each), [id], each)
    assert.deepEqual(found(`\\u00e9${ID}`), [ID])
    assert.deepEqual(found(`https://x.example/?AWSAccessKeyId=${ID}&Expires=1`), [ID])
    assert.deepEqual(found(`Credential=${ID}/20240101/us-east-1/s3/aws4_request`), [ID])
  })

  it('finds secrets behind a name that tells', () => {
    const texts = [
      `aws_secret_access_key = ${SECRET}`,
      `aws_secret_access_key=${SECRET}`,
      `AWS_SECRET_ACCESS_KEY=${SECRET}`,
      `export AWS_SECRET_ACCESS_KEY="${SECRET}"`,
      `AWS_SECRET_ACCESS_KEY: ${SECRET}`,
      `{"SecretAccessKey":"${SECRET}"}`,
      `{"SecretAccessKey": "${SECRET}", "x": 1}`,
      `{"secretAccessKey":"${SECRET}"}`,
      `{\\"SecretAccessKey\\":\\"${SECRET}\\"}`,
      `secretAccessKey: '${SECRET}',`,
      `<SecretAccessKey>${SECRET}</SecretAccessKey>`,
      `secret_key => '${SECRET}'`,
      `Secret access key: ${SECRET}`,
      `my aws key is ${SECRET}`,
      `AWS: ${SECRET}`,
      `secret\n${SECRET}\n`,
      `secret\\n${SECRET}\\n`,
      `secret\\u003a${SECRET}`,
      `secret\t${SECRET}`,
      `"secret","${SECRET}"`,
      `(secret,${SECRET})`,
      `geheim secret é${SECRET}é`,
      `secret: 漢${SECRET}漢`,
      `-Dsecret=${SECRET}`,
      `SECRET|${SECRET}|`,
    ]
    for (const text of texts) assert.deepEqual(found(text), [SECRET], text)
    const escaped = SECRET.replaceAll('/', '\\/')
    assert.deepEqual(found(`{"SecretAccessKey":"${escaped}"}`), [escaped])
    assert.deepEqual(found(`{\\"secret\\":\\"${escaped}\\"}`), [escaped])
  })

  it('finds an id and the secret behind it', () => {
    assert.deepEqual(found(`${ID},${SECRET}\n${TEMPORARY} ${SECRET}`), [ID, SECRET, TEMPORARY, SECRET])
    assert.deepEqual(found(`${ID} ${ID}/${ID}`), [ID, ID, ID])
  })

  it('lets other texts pass', () => {
    const passing = [
      SECRET,
      `key: ${SECRET}`,
      `secret: ${SECRET}A`,
      `secret: A${SECRET}`,
      `secret: ${SECRET.slice(1)}`,
      `secret: ${'a'.repeat(40)}`,
      `secret: ${'A'.repeat(40)}`,
      `aws commit da39a3ee5e6b4b0d3255bfef95601890afd80709`,
      `aws commit DA39A3EE5E6B4B0D3255BFEF95601890AFD80709`,
      `aws: ${'1234567890'.repeat(4)}`,
      `aws: ${'d41d8cd98f00b204e9800998ecf8427e'}`,
      `aws: /usr/local/share/documentation/of/things`,
      `secret ${'.'.repeat(48)}${SECRET}`,
      `secret\\${SECRET.slice(0, 39)}\\`,
      'AKIA',
      'AKIAIOSFODNN7E',
      'AKIAIOSFODNN7EXAMPLe',
      'akiaiosfodnn7example',
      'AKIAIOSFODNN7EXAMPLEx',
      'xAKIAIOSFODNN7EXAMPLE',
      '1AKIAIOSFODNN7EXAMPLE',
      'AIDAIOSFODNN7EXAMPLE',
      'AROAIOSFODNN7EXAMPLE',
      'AKIA-IOSFODNN7EXAMPLE',
      'AKIA IOSFODNN7EXAMPLE',
      `AKIA${'A'.repeat(125)}`,
      'ASIA AND EUROPE',
      '550e8400-e29b-41d4-a716-446655440000',
      '',
    ]
    for (const text of passing) assert.deepEqual(found(text), [], text)
  })
})
