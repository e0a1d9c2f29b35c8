import { readFile } from 'node:fs/promises'
import { isIPv6 } from 'node:net'
import { dirname, resolve } from 'node:path'
import { parse } from 'yaml'
import * as z from 'zod'
import { isLoopback } from '../config/loopback.ts'
import { Fault } from '../gateway/fault.ts'

/** Where the admin API is. `ca`: PEM of the certificate to trust; `name`: the name it is for, where that is not the host. */
export type GatewayAddress = { readonly url: URL; readonly ca?: string; readonly name?: string }

type Environment = Readonly<Record<string, string | undefined>>

/** Only what a client needs: whoever approves has none of the secrets that the rest of the file names. */
const ClientConfig = z.object({
  url: z.url().optional(),
  tls: z.object({ cert: z.string() }).optional(),
  listen: z.object({ admin: z.union([z.string(), z.object({ at: z.string() })]).optional() }).optional(),
})

/**
 * The gateway that is meant by `--config`, SALLYPORT_CONFIG or SALLYPORT_URL, in this order. Fault `usage` when none is
 * given, or when a token would travel in clear.
 */
export async function findGateway(config: string | undefined, environment: Environment): Promise<GatewayAddress> {
  const file = config ?? environment['SALLYPORT_CONFIG']
  if (file !== undefined) return await addressIn(file)
  const given = environment['SALLYPORT_URL']
  if (given === undefined) {
    throw new Fault('usage', 'Say which gateway: --config FILE, SALLYPORT_CONFIG=FILE or SALLYPORT_URL=https://…')
  }
  const url = URL.canParse(given) ? new URL(given) : undefined
  if (url?.protocol === 'https:') return { url }
  if (url?.protocol === 'http:' && isLoopback(url.hostname)) return { url }
  throw new Fault('usage', 'SALLYPORT_URL must be an https URL; plain http is for this machine only.')
}

/** The admin listener of a config file: plain http where it is on this machine, https with the file's certificate else. */
async function addressIn(file: string): Promise<GatewayAddress> {
  const config = await readConfig(file)
  const listen = config.listen?.admin ?? '127.0.0.1:8420'
  const { host, port } = endpointOf(typeof listen === 'string' ? listen : listen.at, file)
  if (isLoopback(host)) return { url: new URL(`http://${host}:${port}`) }
  const ca = config.tls && (await readFile(resolve(dirname(file), config.tls.cert), 'utf8'))
  return {
    url: new URL(`https://${host}:${port}`),
    ...(ca !== undefined && { ca }),
    ...(config.url !== undefined && { name: new URL(config.url).hostname }),
  }
}

async function readConfig(file: string): Promise<z.infer<typeof ClientConfig>> {
  try {
    return ClientConfig.parse(parse(await readFile(file, 'utf8')))
  } catch (error) {
    throw new Fault('config', `${file} cannot be read as a config: \`sallyport check\` says why.`, error)
  }
}

/** `host:port`; a listener on every address is reached on this machine's own. */
function endpointOf(text: string, file: string): { readonly host: string; readonly port: number } {
  const parts = /^(?<host>\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+):(?<port>\d{1,5})$/.exec(text)?.groups
  const port = Number(parts?.['port'])
  if (parts?.['host'] === undefined || !(port > 0)) {
    throw new Fault('config', `${file}: listen.admin must be host:port with a port above 0`)
  }
  const bare = parts['host'].replace(/^\[|\]$/g, '')
  if (bare === '0.0.0.0') return { host: '127.0.0.1', port }
  if (bare === '::') return { host: '[::1]', port }
  return { host: isIPv6(bare) ? `[${bare}]` : bare, port }
}
