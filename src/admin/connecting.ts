import type { Connecting } from './grant-shapes.ts'

/** Where the gateway is reached: by `url` in general, on these ports. */
export type Entrances = { readonly url: string; readonly postgres: number; readonly http?: number }

/** How a client of this protocol connects to a target. */
export function connectingTo(
  { url, postgres, http }: Entrances,
  { name, protocol }: { readonly name: string; readonly protocol: 'postgres' | 'http' },
): Connecting {
  const { hostname, protocol: scheme } = new URL(url)
  if (protocol === 'http') return { protocol, url: `${scheme}//${hostname}:${http}/${name}` }
  return { protocol, host: hostname.replace(/^\[|\]$/g, ''), port: postgres, dbname: name }
}
