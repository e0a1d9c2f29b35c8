import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect, createServer, type AddressInfo, type Socket } from 'node:net'
import { describe, it } from 'node:test'
import type { HeaderCredential } from '../src/credentials/bearer.ts'
import type { RoleCredential } from '../src/credentials/postgres-role.ts'
import type { Core } from '../src/gateway/gateway.ts'
import { refuse } from '../src/gateway/refusals.ts'
import type { PostgresTarget } from '../src/protocols/postgres/postgres-target.ts'
import { http } from '../src/protocols/http/http.ts'
import type { HttpTarget } from '../src/protocols/http/http-target.ts'
import { postgres } from '../src/protocols/postgres/postgres.ts'
import type { Entry } from '../src/record/entry.ts'
import type { Stored } from '../src/record/recorder.ts'
import { gatewayTo } from './conformance/door.ts'
import { frame, str, u32, untyped } from './frames-builder.ts'
import { Wire } from './fuzz/wire.ts'

/** Of whoever comes nothing is known; `meanwhile` happens while that is found out. */
function coreWith(entries: Entry[], meanwhile: () => Promise<void>): Core {
  const core: Pick<Core, 'authenticate' | 'issuers' | 'recorder' | 'strangers'> = {
    authenticate: async () => {
      await meanwhile()
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
  return core as Core
}

describe('the address of a client', () => {
  it('is recorded, though the client has gone while it was identified', async () => {
    const entries: Entry[] = []
    const wire = new Wire({ heard: () => undefined, ended: () => undefined, closed: () => undefined }, 1)
    const core = coreWith(entries, async () => void wire.destroy())
    const { line } = wire
    line.write(untyped(u32(3 << 16), str('user'), str('agent'), str('database'), str('orders'), Buffer.of(0)))
    line.write(frame('p', str('no-token')))
    const gateway = gatewayTo<PostgresTarget, RoleCredential>(core, { name: 'orders' } as PostgresTarget)
    await postgres().serve(wire as unknown as Socket, gateway, () => undefined)
    assert.deepEqual(
      entries.map((entry) => entry.type === 'session.refused' && entry.client),
      [line.address],
    )
  })

  it('is recorded of an HTTP client too', async () => {
    const entries: Entry[] = []
    const served = Promise.withResolvers<Socket>()
    await using server = createServer((socket) => served.resolve(socket)).listen(0, '127.0.0.1')
    await once(server, 'listening')
    const client = connect((server.address() as AddressInfo).port, '127.0.0.1')
    const socket = await served.promise
    const address = `127.0.0.1:${client.localPort}`
    const core = coreWith(entries, async () => {
      client.destroy()
      await once(socket, 'close')
    })
    client.write('GET /billing/v1 HTTP/1.1\r\nHost: gw\r\nAuthorization: Bearer no-token\r\n\r\n')
    await http().serve(
      socket,
      gatewayTo<HttpTarget, HeaderCredential>(core, { name: 'billing' } as HttpTarget),
      () => undefined,
    )
    assert.deepEqual(
      entries.map((entry) => entry.type === 'session.refused' && entry.client),
      [address],
    )
  })
})
