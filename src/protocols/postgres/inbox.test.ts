import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Frame } from './frames.ts'
import { Inbox } from './inbox.ts'

const frame: Frame = { type: 0x44, bytes: Buffer.alloc(10) }

type Batch = { readonly frames: number; readonly last: boolean }

async function next(inbox: Inbox): Promise<Batch | undefined> {
  const batch = await inbox.next()
  return batch && { frames: batch.frames.length, last: batch.last }
}

describe('Inbox', () => {
  it('gives what has come in, and ends with the last expectation', async () => {
    const inbox = new Inbox(() => undefined)
    const one = inbox.expectation('Bind')
    const two = inbox.expectation('Execute')
    inbox.seal()
    one.frame?.(frame)
    one.done?.('done')
    assert.deepEqual(await next(inbox), { frames: 1, last: false })
    const waiting = next(inbox)
    two.frame?.(frame)
    two.frame?.(frame)
    two.done?.('done')
    assert.deepEqual(await waiting, { frames: 2, last: true })
    assert.equal(await next(inbox), undefined)
  })

  it('ends with an empty batch when the end brought no frame', async () => {
    const inbox = new Inbox(() => undefined)
    const skipped = inbox.expectation('Execute')
    inbox.seal()
    const waiting = next(inbox)
    skipped.done?.('skipped')
    assert.deepEqual(await waiting, { frames: 0, last: true })
  })

  it('does not end before it is sealed, however much was answered', async () => {
    const inbox = new Inbox(() => undefined)
    inbox.expectation('Parse').done?.('done')
    const waiting = next(inbox)
    inbox.put(frame)
    assert.deepEqual(await waiting, { frames: 1, last: false })
  })

  it('keeps hidden answers from the client, but lets others see them', async () => {
    for (const type of [0x54, 0x6e]) {
      const inbox = new Inbox(() => undefined)
      const seen: Frame[] = []
      const hidden = inbox.expectation('DescribePortal', { frame: (one) => void seen.push(one) }, true)
      inbox.seal()
      hidden.frame?.({ ...frame, type })
      hidden.done?.('done')
      assert.deepEqual(await next(inbox), { frames: 0, last: true })
      assert.deepEqual(seen, [{ ...frame, type }])
    }
  })

  it('gives the client the error that came in place of a hidden answer: nothing else tells it', async () => {
    const inbox = new Inbox(() => undefined)
    const hidden = inbox.expectation('DescribePortal', {}, true)
    inbox.seal()
    hidden.frame?.({ ...frame, type: 0x45 })
    hidden.done?.('failed')
    assert.deepEqual(await next(inbox), { frames: 1, last: true })
  })

  it('says how many bytes wait, and not of what it was made with', async () => {
    const waiting: number[] = []
    const inbox = new Inbox((bytes) => void waiting.push(bytes), [frame])
    inbox.put(frame)
    inbox.seal()
    assert.deepEqual(await next(inbox), { frames: 2, last: true })
    assert.deepEqual(waiting, [10, -10])
  })
})
