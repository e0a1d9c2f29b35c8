import assert from 'node:assert/strict'
import type { Socket } from 'node:net'
import { describe, it } from 'node:test'
import type { RoleCredential } from '../src/credentials/postgres-role.ts'
import type { Core } from '../src/gateway/gateway.ts'
import { refuse } from '../src/gateway/refusals.ts'
import type { PostgresTarget } from '../src/protocols/postgres/postgres-target.ts'
import { postgres } from '../src/protocols/postgres/postgres.ts'
import type { Entry } from '../src/record/entry.ts'
import type { Stored } from '../src/record/recorder.ts'
import { gatewayTo } from './conformance/door.ts'
import { frame, str, u32, untyped } from './frames-builder.ts'
import { Wire } from './fuzz/wire.ts'

describe('the address of a client', () => {
  it('is recorded, though the client has gone while it was identified', async () => {
    const entries: Entry[] = []
    const wire = new Wire({ heard: () => undefined, ended: () => undefined, closed: () => undefined }, 1)
    const core: Pick<Core, 'authenticate' | 'issuers' | 'recorder' | 'strangers'> = {
      authenticate: async () => {
        wire.destroy()
        return { refusal: refuse('identity', 'The token is not valid.') }
      },
      issuers: () => [],
      strangers: () => true,
      recorder: {
        append: async (entry) => {
          entries.push(entry)
          return { seq: 1 } as Stored
        },
        checkpoint: async () => undefined,
        [Symbol.asyncDispose]: async () => undefined,
      },
    }
    const { line } = wire
    line.write(untyped(u32(3 << 16), str('user'), str('agent'), str('database'), str('orders'), Buffer.of(0)))
    line.write(frame('p', str('no-token')))
    const gateway = gatewayTo<PostgresTarget, RoleCredential>(core as Core, { name: 'orders' } as PostgresTarget)
    await postgres().serve(wire as unknown as Socket, gateway, () => undefined)
    assert.deepEqual(
      entries.map((entry) => entry.type === 'session.refused' && entry.client),
      [line.address],
    )
  })
})
