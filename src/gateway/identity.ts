import type { Identity } from './domain.ts'

/** `provider/subject`, as policy, records and votes name an identity. */
export function identityId(identity: Identity): string {
  return `${identity.provider}/${identity.subject}`
}

/** The identity and everyone it acts for. */
export function actChain(identity: Identity): readonly Identity[] {
  return identity.onBehalfOf === undefined ? [identity] : [identity, ...actChain(identity.onBehalfOf)]
}

/** The `person` claim as it is compared across providers; undefined when the token names none. */
export function personKey(identity: Identity): string | undefined {
  const key = identity.person?.normalize('NFKC').trim().toLowerCase()
  return key === '' ? undefined : key
}

/** What "the same identity" means for a ticket: the same account, acting for the same ones. */
export function requesterKey(identity: Identity): string {
  return JSON.stringify(actChain(identity).map((link) => [link.kind, link.provider, link.subject]))
}

/** A person in their own name: the only kind of identity with a say over others. */
export function isPerson(identity: Identity): boolean {
  return identity.kind === 'User' && identity.onBehalfOf === undefined
}

/** True when `voter` is `requester`, someone it acts for, or the same human under another account. */
export function isBehind(voter: Identity, requester: Identity): boolean {
  const person = personKey(voter)
  return actChain(requester).some(
    (link) => identityId(link) === identityId(voter) || (person !== undefined && person === personKey(link)),
  )
}
