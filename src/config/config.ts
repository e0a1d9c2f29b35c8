import { dirname, resolve } from 'node:path'
import { Fault } from '../gateway/fault.ts'
import { Secret } from '../gateway/secret.ts'
import type { ProviderConfig } from './providers.ts'
import { configErrors } from './issues.ts'
import { readContext } from './references.ts'
import { configSchema, type Listen, type Protocols, type TargetConfig } from './schema.ts'
import { type ConfigError, type Path, readSource } from './source.ts'

/** `sallyport.yaml`, read once: defaults filled in, secrets read, paths absolute (docs/reference/config.md). */
export type Config<P extends Protocols> = {
  /** Absolute path of the file itself. */
  readonly file: string
  readonly url?: string
  readonly data: string
  /** PEM texts. */
  readonly tls?: { readonly cert: string; readonly key: Secret }
  /** `http` is opened when it is given, or when a target needs it. */
  readonly listen: { readonly admin: Listen; readonly postgres: Listen; readonly http?: Listen }
  readonly identity: readonly ProviderConfig[]
  readonly targets: readonly TargetConfig<P>[]
  /** The directory of policies; `policies` beside the file unless the file says otherwise. */
  readonly policies: string
  readonly admin: { readonly operators: readonly string[]; readonly auditors: readonly string[] }
}

/** A config, and what it was read from. */
export type OpenedConfig<P extends Protocols> = {
  readonly config: Config<P>
  /** Absolute paths of the files that its values point to: secrets, certificates. */
  readonly reads: readonly string[]
  /** The line of the deepest part of `path` that the file has. */
  readonly line: (path: Path) => number
}

type Environment = Readonly<Record<string, string | undefined>>
type Read<P extends Protocols> = OpenedConfig<P> | { readonly errors: readonly ConfigError[] }

/** Reads a config file. Throws Fault `config` whose message lists every error, one a line. */
export async function loadConfig<P extends Protocols>(
  file: string,
  protocols: P,
  environment: Environment = process.env,
): Promise<Config<P>> {
  return (await openConfig(file, protocols, environment)).config
}

/** `loadConfig`, with where it all comes from. */
export async function openConfig<P extends Protocols>(
  file: string,
  protocols: P,
  environment: Environment = process.env,
): Promise<OpenedConfig<P>> {
  const read = await readConfig(file, protocols, environment)
  if ('config' in read) return read
  throw new Fault('config', read.errors.map(errorText).join('\n'))
}

/** Every error of a config file, in the order of its lines; empty when it can be used. */
export async function checkConfig(
  file: string,
  protocols: Protocols,
  environment: Environment = process.env,
): Promise<readonly ConfigError[]> {
  const read = await readConfig(file, protocols, environment)
  return 'errors' in read ? read.errors : []
}

/** `file:line: key: text`. */
export function errorText({ file, line, key, text }: ConfigError): string {
  return key === '' ? `${file}:${line}: ${text}` : `${file}:${line}: ${key}: ${text}`
}

async function readConfig<P extends Protocols>(file: string, protocols: P, environment: Environment): Promise<Read<P>> {
  const source = await readSource(file)
  if (source.errors.length > 0) return { errors: source.errors }
  const directory = dirname(resolve(file))
  const reads = new Set<string>()
  const context = readContext(directory, environment, (path) => reads.add(path))
  const result = configSchema(context, protocols).safeParse(source.value)
  if (!result.success) return { errors: configErrors(file, source, result.error.issues) }
  const { version: _version, store: _store, recordings: _recordings, tls, policies, ...rest } = result.data
  return {
    config: {
      ...rest,
      file: resolve(file),
      policies: policies ?? resolve(directory, 'policies'),
      tls: tls && { cert: tls.cert, key: new Secret(tls.key) },
    },
    reads: [...reads],
    line: (path) => source.line(path),
  }
}
