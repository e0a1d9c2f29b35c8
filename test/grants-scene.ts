import assert from 'node:assert/strict'
import { Client, type ClientConfig, type DatabaseError } from 'pg'
import { GivenGrantShape, GrantShape, type GrantJson } from '../src/admin/grant-shapes.ts'
import type { Refusal } from '../src/gateway/domain.ts'
import type { Scene } from './scene.ts'

/** A grant as it is given, and what a test does with the API of grants. */
export type Given = ReturnType<typeof GivenGrantShape.parse>

export type GrantsApi = {
  /** Asks for one, as the usual agent unless a token is given. */
  readonly ask: (more?: object, token?: string) => Promise<Given>
  readonly call: (method: string, path: string, token: string, body?: object) => Promise<ApiAnswer>
  readonly revoke: (id: string, token?: string) => Promise<GrantJson>
  readonly connect: (given: Pick<Given, 'user' | 'password'>, more?: ClientConfig) => Promise<Client>
}

export type ApiAnswer = { readonly status: number; readonly body: Record<string, unknown> }

export function grantsApi(scene: Scene): GrantsApi {
  const call: GrantsApi['call'] = async (method, path, token, body) => {
    const response = await fetch(`http://127.0.0.1:${scene.gateway.admin.port}/api/v1/grants${path}`, {
      method,
      headers: { authorization: `Bearer ${token}`, ...(body && { 'content-type': 'application/json' }) },
      ...(body && { body: JSON.stringify(body) }),
    })
    return { status: response.status, body: (await response.json()) as Record<string, unknown> }
  }
  return {
    call,
    ask: async (more, token) => {
      const wish = { target: 'orders', purpose: 'fix order 17', ...more }
      const { status, body } = await call('POST', '', token ?? (await scene.token()), wish)
      assert.equal(status, 201, JSON.stringify(body))
      return GivenGrantShape.parse(body)
    },
    revoke: async (id, token) => {
      const { status, body } = await call('DELETE', `/${id}`, token ?? (await scene.token()))
      assert.equal(status, 200, JSON.stringify(body))
      return GrantShape.parse(body)
    },
    connect: async ({ user, password }, more) => {
      const { port } = scene.gateway.postgres
      const client = new Client({ host: '127.0.0.1', port, user, password, database: 'orders', ...more })
      client.on('error', () => undefined)
      await client.connect()
      return client
    },
  }
}

/** What a client was refused with: SQLSTATE, and the refusal itself. */
export type Refused = { readonly state: string | undefined; readonly message: string; readonly refusal: Refusal }

/** What a connection or a statement is refused with; fails when it is not. */
export async function refusedWith(attempt: Promise<unknown>): Promise<Refused> {
  const error = await attempt.then(
    () => assert.fail('it was not refused'),
    (thrown: unknown) => thrown as DatabaseError,
  )
  return { state: error.code, message: error.message, refusal: JSON.parse(error.detail ?? '{}') as Refusal }
}
