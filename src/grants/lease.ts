import type { Identity, SessionId } from '../gateway/domain.ts'

/** What a lease is made for. */
export type LeaseRequest = {
  readonly session: SessionId
  readonly identity: Identity
  readonly target: string
  /** ms since the epoch: the engine's own back stop, should the gateway die. */
  readonly expiresAt: number
  /** Data classes of the target that the identity must not see. */
  readonly hidden: readonly string[]
  /** The actions that policy can ever permit it on the target (`sql.insert`); absent: any. */
  readonly possible?: readonly string[]
}

/** Proof for the record that the credential is gone. */
export type Revocation = { readonly verified: boolean; readonly error?: string }

/** A credential at the target, alive only while held. Revoking twice is the same as once. */
export interface Lease<Credential> {
  /** Its name at the target (a role); safe to record. */
  readonly name: string
  readonly credential: Credential
  /** Ends it at the target and checks there that it is gone. Never throws: an error is in the result. */
  revoke(): Promise<Revocation>
}

/** Where credentials of one target come from. */
export interface LeaseSource<Credential, Request = LeaseRequest> extends AsyncDisposable {
  take(request: Request): Promise<Lease<Credential>>
  /** Revokes what dead replicas of this installation left; the names that are gone. */
  sweep(): Promise<readonly { readonly name: string; readonly revocation: Revocation }[]>
  /** What it lacks to work, each with the SQL that would give it. Empty: all is well. */
  check(): Promise<readonly { readonly lacks: string; readonly remedy: string }[]>
}
