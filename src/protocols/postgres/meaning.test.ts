import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { Meaning } from './meaning.ts'
import type { Understood } from './operations.ts'

const change = (text: string): Understood =>
  ({ text, usedTexts: [], changesSearchPath: true, mayChangeSettings: true }) as unknown as Understood

const settingsAfter = (...texts: readonly string[]): string => {
  const meaning = new Meaning()
  for (const text of texts) meaning.follow(change(text))
  return meaning.settings(change('SELECT 1'), 'prepare', true)
}

describe('what gives a statement its meaning', () => {
  it('is another one after each change of the search path, in their order', () => {
    const told = [[], ['a'], ['b'], ['a', 'b'], ['b', 'a'], ['a', 'a']].map((texts) => settingsAfter(...texts))
    assert.equal(new Set(told).size, told.length)
    assert.equal(settingsAfter('a', 'b'), settingsAfter('a', 'b'))
  })

  it('does not grow with texts that change the search path, and may be refused', () => {
    const text = `SET search_path TO a -- ${'x'.repeat(1000)}`
    assert.ok(settingsAfter(...Array.from({ length: 1000 }, () => text)).length < 200)
  })
})
