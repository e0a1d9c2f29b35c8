import { Agent as HttpAgent } from 'node:http'
import { Agent as HttpsAgent } from 'node:https'
import type { HeaderCredential } from '../../credentials/bearer.ts'
import type { Target } from '../../gateway/protocol.ts'
import type { LeaseSource } from '../../grants/lease.ts'
import type { JsonPath } from '../../http/json-path.ts'
import type { HttpConfig } from './config.ts'
import { TARGET_SOCKETS } from './limits.ts'

/** An HTTP service behind the gateway. */
export type HttpTarget = Target<HeaderCredential> & {
  readonly url: URL
  /** What stands before every path: empty, or begins with `/` and does not end with one. */
  readonly base: string
  readonly agent: HttpAgent
  readonly sensitive: Readonly<Record<string, readonly JsonPath[]>>
}

export type HttpParts = {
  readonly name: string
  readonly config: HttpConfig
  readonly leases: LeaseSource<HeaderCredential>
}

/** Certificates are verified unless the URL says plain http; only one certificate authority counts when `ca` is given. */
export function httpTarget({ name, config, leases }: HttpParts): HttpTarget {
  const { url, ca } = config
  const options = { keepAlive: true, maxSockets: TARGET_SOCKETS, maxFreeSockets: 16 }
  const agent = url.protocol === 'https:' ? new HttpsAgent({ ...options, ca }) : new HttpAgent(options)
  return {
    name,
    resource: { type: 'Target', id: name },
    leases,
    classes: Object.keys(config.sensitive),
    detect: config.detect,
    url,
    base: url.pathname.replace(/\/+$/, ''),
    agent,
    sensitive: config.sensitive,
    [Symbol.asyncDispose]: async () => {
      agent.destroy()
      await leases[Symbol.asyncDispose]()
    },
  }
}
