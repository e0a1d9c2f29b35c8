import { isIPv4 } from 'node:net'

/** True for a host that cannot leave this machine: `localhost`, 127.0.0.0/8, `::1`, with or without brackets. */
export function isLoopback(host: string): boolean {
  const bare = host.startsWith('[') && host.endsWith(']') ? host.slice(1, -1) : host
  const mapped = bare.toLowerCase().startsWith('::ffff:') ? bare.slice('::ffff:'.length) : bare
  if (isIPv4(mapped)) return mapped.startsWith('127.')
  return bare.toLowerCase() === 'localhost' || bare === '::1'
}
