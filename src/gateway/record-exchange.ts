import type { Exchanged } from '../identity/exchange.ts'
import { type ExchangeRefused, recordedIdentity, type TokenExchanged } from '../record/entry.ts'
import type { Address } from './domain.ts'
import type { Core } from './gateway.ts'
import { identityId } from './identity.ts'

/**
 * Records what came of a token exchange, before anybody is told. Refusals are bounded as those of strangers are, because
 * anybody may ask. Throws Fault when it cannot be recorded.
 */
export async function recordExchange(
  { recorder, strangers }: Pick<Core, 'recorder' | 'strangers'>,
  exchanged: Exchanged,
  client: Address,
): Promise<void> {
  const entry = entryOf(exchanged, client)
  if (entry.type === 'token.refused' && !strangers()) return
  await recorder.append(entry, 'written')
}

function entryOf(exchanged: Exchanged, client: Address): TokenExchanged | ExchangeRefused {
  if ('error' in exchanged) {
    const { error, description, subject, actor } = exchanged
    const parties = { subject: subject && identityId(subject), actor: actor && identityId(actor) }
    return { type: 'token.refused', client, ...parties, error, message: description }
  }
  const { identity, issued, subject, actor } = exchanged
  return {
    type: 'token.exchanged',
    identity: identityId(identity),
    who: recordedIdentity(identity),
    client,
    subject: recordedIdentity(subject),
    actor: actor && recordedIdentity(actor),
    token: issued.id,
    expires_at: new Date(issued.expiresAt).toISOString(),
  }
}
