import assert from 'node:assert/strict'
import type { Client, DatabaseError } from 'pg'
import type { Refusal } from '../src/gateway/domain.ts'
import type { Scene } from './scene.ts'

/** A connected client that leaves at the end of its block. */
export async function connected(scene: Scene, token?: string): Promise<Client & AsyncDisposable> {
  const client = await scene.connect(token)
  return Object.assign(client, { [Symbol.asyncDispose]: () => client.end() })
}

export type Refused = DatabaseError & { readonly refusal: Refusal }

/** The error that a query must end with, and the refusal in its DETAIL. */
export function refused(query: Promise<unknown>): Promise<Refused> {
  return query.then(
    () => assert.fail('it was not refused'),
    (error: DatabaseError) => Object.assign(error, { refusal: JSON.parse(error.detail ?? '{}') as Refusal }),
  )
}

/**
 * The id of the approval that the next notice of a hold on this connection names. To be called while the connection is
 * idle, before the statement; rejects when that ends, or the connection does, without having been held.
 */
export async function held(client: Client): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<{ readonly detail?: string }>()
  const over = (): void => reject(new Error('the statement was not held'))
  client.once('notice', resolve).once('drain', over).once('end', over)
  try {
    return (JSON.parse((await promise).detail ?? '{}') as Refusal).approval!.id
  } finally {
    client.off('notice', resolve).off('drain', over).off('end', over)
  }
}

/** A vote that must count. */
export async function approve(scene: Scene, id: string, token: string): Promise<Record<string, unknown>> {
  const { status, body } = await scene.api(token, `/api/v1/approvals/${id}/approve`, {})
  assert.equal(status, 200, JSON.stringify(body))
  return body
}

/** What the admin API says of an approval, once `state` is reached; as it is after 3 s. */
export async function stateOf(scene: Scene, id: string, token: string, state: string): Promise<unknown> {
  for (let turn = 0; ; turn++) {
    const { body } = await scene.api(token, `/api/v1/approvals/${id}`)
    if (body['state'] === state || turn === 60) return body['state']
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}
