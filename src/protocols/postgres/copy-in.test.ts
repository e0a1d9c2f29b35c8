import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Operation } from '../../gateway/domain.ts'
import { CopyIn } from './copy-in.ts'

const OPERATION = { id: 'op_1' } as unknown as Operation

describe('copy-in mode', () => {
  it('is waited for by a COPY that was sent before the one ahead of it was answered', () => {
    const copyIn = new CopyIn(() => undefined)
    copyIn.expect(1)
    copyIn.open(OPERATION)
    copyIn.close()
    copyIn.expect(1)
    copyIn.over(0)
    assert.ok(copyIn.certain() instanceof Promise)
    copyIn.open(OPERATION)
    assert.equal(copyIn.certain(), undefined)
    copyIn.close()
    assert.equal(copyIn.certain(), undefined)
  })

  it('is not waited for once a COPY has ended without asking', () => {
    const copyIn = new CopyIn(() => undefined)
    copyIn.expect(2)
    copyIn.over(2)
    assert.equal(copyIn.certain(), undefined)
  })
})
