import { after, before, describe } from 'node:test'
import { load, opaque } from './cases.ts'
import { controlTests, maskingTests } from './judge.ts'
import { profileLeases, startStage, type Stage } from './stage.ts'

let running: Stage
before(async () => {
  running = await startStage(profileLeases)
})
after(() => running?.[Symbol.asyncDispose]())
const stage = (): Stage => running

const masking = [...load('pg_masking.jsonl'), ...load('pg_masking_newer.jsonl')]

describe('behind the wall no statement shows a hidden value', () =>
  maskingTests({ stage, setting: 'opaque' }, opaque(masking)))
describe('behind the wall what is harmless works', () =>
  controlTests({ stage, setting: 'masked' }, load('pg_masking_controls.jsonl')))
