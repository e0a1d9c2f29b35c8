import { after, before, describe } from 'node:test'
import { lines, load, opaque } from './cases.ts'
import { controlTests, maskingTests, policyTests } from './judge.ts'
import { passwordLeases, startStage, type Stage } from './stage.ts'
import { wireTests, type WireCase } from './wire.ts'

/** Of another PostgreSQL than the embedded one. */
const binaries = process.env['CORPUS_POSTGRES']

let running: Stage
before(async () => {
  running = await startStage(passwordLeases, binaries === undefined ? {} : { binaries })
})
after(() => running?.[Symbol.asyncDispose]())
const stage = (): Stage => running

const masking = [...load('pg_masking.jsonl'), ...load('pg_masking_newer.jsonl')]

describe('no statement shows a hidden value', () => maskingTests({ stage, setting: 'masked' }, masking))
describe('no statement shows a hidden value that no pattern matches', () =>
  maskingTests({ stage, setting: 'opaque' }, opaque(masking)))
describe('what is harmless works', () => controlTests({ stage, setting: 'masked' }, load('pg_masking_controls.jsonl')))
describe('a policy holds, and stops nothing else', () =>
  policyTests({ stage, setting: 'policy' }, load('pg_policy.jsonl')))
describe('nothing in the protocol opens a way around', () =>
  wireTests(stage, 'masked', lines('wire.jsonl') as readonly WireCase[]))
