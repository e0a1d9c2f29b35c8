import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { newId } from './ids.ts'

describe('an id', () => {
  it('is a prefix and a UUIDv7 of the time it was made at', () => {
    const id = newId('op', Date.UTC(2026, 0, 2))
    assert.match(id, /^op_[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
    assert.equal(Number.parseInt(id.slice(3, 16).replace('-', ''), 16), Date.UTC(2026, 0, 2))
  })

  it('is never made twice, and sorts by time', () => {
    const ids = Array.from({ length: 1_000 }, () => newId('ses', 1_000))
    assert.equal(new Set(ids).size, 1_000)
    assert.ok(newId('ses', 1_000) < newId('ses', 2_000))
  })
})
