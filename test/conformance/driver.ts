import type { Socket } from 'node:net'
import type { RefusalCode } from '../../src/gateway/domain.ts'
import type { Core } from '../../src/gateway/gateway.ts'
import type { LeaseSource } from '../../src/grants/lease.ts'
import type { Entry } from '../../src/record/entry.ts'
import type { Behaviour } from './deliver.ts'

/**
 * What clients ask for, in words that every protocol can say: something allowed, something denied, something held, an
 * answer with secrets in it, and an answer of many MiB.
 */
export type Word = 'allowed' | 'denied' | 'held' | 'masked' | 'bulk'

/** What a client was told. */
export type Heard = {
  /**
   * `answer`: whole, by the protocol's own framing. `refusal`: a no or an error, in the protocol's own words. `nothing`:
   * the connection ended before either.
   */
  readonly is: 'answer' | 'refusal' | 'nothing'
  /** Of a refusal by the gateway itself. */
  readonly code?: RefusalCode
  /** What came, as far as it came. */
  readonly text: string
}

/** A client that sends exactly the bytes it is told, on one connection. */
export interface Client extends AsyncDisposable {
  readonly socket: Socket
  /** Bytes that have come. */
  readonly received: number
  /** All that it was told so far. */
  said(): string
  send(...bytes: readonly Uint8Array[]): void
  /** The next answer or refusal; or the end of the connection. */
  hear(): Promise<Heard>
}

/** A target of the protocol that answers as it is told, and keeps what it got. */
export interface FakeTarget extends AsyncDisposable {
  /** How operations are answered from now on. */
  behave(behaviour: Behaviour): void
  /** What it was asked to run, in order; a text that no word stands for is there as it came. */
  readonly ran: readonly string[]
  /** Bytes it got, on all connections. */
  readonly bytes: number
  /** Bytes of answers that the network took off it since it was told how to behave. */
  readonly taken: number
  /** Connections open now. */
  readonly connections: number
  /** What it got that neither a recorded decision nor the session's own permit accounts for, in words. */
  unpermitted(entries: readonly Entry[]): readonly string[]
}

/** What the suite puts around the protocol. */
export type Around = {
  readonly core: Core
  readonly leases: <Credential>(credential: Credential) => LeaseSource<Credential>
  /** How long a client may take to say who it is, in ms. */
  readonly handshakeMs: number
}

/** The protocol of a driver between clients and a fake target. */
export interface Front {
  readonly target: FakeTarget
  serve(client: Socket): Promise<void>
}

/** What a protocol brings along to be held to the promises that all protocols keep. */
export interface Driver {
  readonly name: string
  /** The actions of `denied` and `held`: nothing else has them. */
  readonly actions: { readonly denied: string; readonly held: string }
  /** What must never be seen outside the target: some of it stands in the answer to `masked`. */
  readonly secrets: readonly string[]
  /** Stands in the answer to `allowed`. */
  readonly says: string
  /** Of a class, so that an identity may be permitted to see it: stands in the answer to `masked`. */
  readonly sensitive: string
  start(around: Around): Promise<Front>
  /** A client that has said who it is, as far as the protocol has a moment for that. */
  connect(port: number): Promise<Client>
  /** What a client with this token, or without one, hears of its session. */
  knock(port: number, token: string | undefined): Promise<Heard>
  /** The bytes with which a client asks. */
  bytesOf(word: Word): Buffer
  /** What no client that keeps to the protocol sends: by name, after `connect`. */
  readonly hostile: Readonly<Record<string, readonly Buffer[]>>
  /** What no connection begins with. */
  readonly nonsense: readonly Buffer[]
  /** The starts of connections that do not go on: by name. */
  readonly beginnings: Readonly<Record<string, Buffer>>
}

/** The token of the suite's client; any other is bad. */
export const TOKEN = 'token-of-the-agent'
