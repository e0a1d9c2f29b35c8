import type { Socket } from 'node:net'
import type { DetectorName } from '../mask/detectors.ts'
import type { LeaseSource } from '../grants/lease.ts'
import type { Resource } from './domain.ts'
import type { Gateway } from './gateway.ts'

/** One registered thing behind the gateway, as its protocol understands it. */
export interface Target<Credential> extends AsyncDisposable {
  readonly name: string
  /** Where it stands in the policy's resource tree. */
  readonly resource: Resource
  readonly leases: LeaseSource<Credential>
  /** Data classes named in its `sensitive`. */
  readonly classes: readonly string[]
  readonly detect: readonly DetectorName[]
}

/** What a protocol folder implements. It only translates: bytes into exchanges, exchanges back into bytes. */
export interface Protocol<T extends Target<Credential>, Credential> {
  readonly name: string
  /** Serves one client connection, from its first byte to its last; calls `admitted` once it is known whose it is. */
  serve(client: Socket, gateway: Gateway<T, Credential>, admitted: () => void): Promise<void>
}
