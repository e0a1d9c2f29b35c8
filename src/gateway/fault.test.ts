import assert from 'node:assert/strict'
import { it } from 'node:test'
import { sentence } from './fault.ts'

it('a sentence made of a message ends in one full stop, whether the message has one or not', () => {
  assert.equal(sentence('the target hung up'), 'The target hung up.')
  assert.equal(sentence('The catalog could not be read.'), 'The catalog could not be read.')
})
