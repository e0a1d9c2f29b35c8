import { createHash, randomBytes, timingSafeEqual } from 'node:crypto'
import type { Store } from '../store/store.ts'
import type { KeptCredential } from './rows.ts'
import { mockVerifier, readVerifier, scramVerifier, type ScramVerifier } from './scram-verifier.ts'

/** Of a password: too many to guess, so that a fast hash of it tells nothing. */
const PASSWORD_BYTES = 24

/** A new password, in letters that need no quoting anywhere, and what is kept of it. */
export async function makeCredential(): Promise<{ readonly password: string; readonly kept: KeptCredential }> {
  const password = randomBytes(PASSWORD_BYTES).toString('hex')
  return { password, kept: { verifier: await scramVerifier(password), bearer: sha256(password).toString('hex') } }
}

/** True for the password that `bearer` was made of. Without one nothing is, in the same time. */
export function isPassword(password: string, bearer: string | null | undefined): boolean {
  const expected = Buffer.from(bearer ?? '', 'hex')
  const given = sha256(password)
  return timingSafeEqual(given, expected.length === given.length ? expected : Buffer.alloc(given.length))
}

/** What the password of this user is checked against, also where there is no such user. */
export function createVerifiers(store: Store): (user: string) => Promise<ScramVerifier> {
  let key: Promise<string> | undefined
  return async (user) => {
    key ??= mockKey(store).catch((error: unknown) => {
      key = undefined
      throw error
    })
    const mock = mockVerifier(await key, user)
    const row = await store.query((db) =>
      db.selectFrom('grants').select('verifier').where('id', '=', user).executeTakeFirst(),
    )
    return row?.verifier ? readVerifier(row.verifier) : mock
  }
}

/** Made once for an installation: what a user seems to have must not change with a restart. */
async function mockKey(store: Store): Promise<string> {
  const made = randomBytes(32).toString('hex')
  return await store.transaction(async (trx) => {
    await trx.updateTable('installation').set({ mock_key: made }).where('mock_key', 'is', null).execute()
    const row = await trx.selectFrom('installation').select('mock_key').executeTakeFirstOrThrow()
    return row.mock_key ?? made
  })
}

function sha256(text: string): Buffer {
  return createHash('sha256').update(text).digest()
}
