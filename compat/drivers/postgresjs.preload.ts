import { Socket } from 'node:net'
import { registerHooks } from 'node:module'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'

/** Loaded before postgres.js' suite: its runner, its server, and the port and the password it expects are ours. */

const SUITE = '/tests/index.js'
const REPLACED: Readonly<Record<string, string>> = {
  './test.js': 'postgresjs-runner.ts',
  './bootstrap.js': 'postgresjs-runner.ts',
}

registerHooks({
  resolve: (specifier, context, next) => {
    const ours = context.parentURL?.endsWith(SUITE) ? REPLACED[specifier] : undefined
    return ours === undefined
      ? next(specifier, context)
      : next(pathToFileURL(join(import.meta.dirname, ours)).href, context)
  },
  load: (url, context, next) => {
    const loaded = next(url, context)
    if (!url.endsWith(SUITE)) return loaded
    const source = new TextDecoder().decode(loaded.source as Uint8Array)
    return { ...loaded, source: process.env.ROLE_PASSWORD === undefined ? source : withToken(source) }
  },
})

/** Where a test is not about how a password is proved, the password is the token: a client of a gateway has no other. */
function withToken(source: string): string {
  return source
    .replaceAll(
      /\bpass: \(\) => (Promise\.resolve\()?'postgres_js_test_scram'/g,
      'pass: () => $1process.env.ROLE_PASSWORD',
    )
    .replaceAll(/\.\.\.login_scram,(?=\s+connect_timeout:)/g, '...login_scram, pass: process.env.ROLE_PASSWORD,')
}

type Connect = (this: Socket, ...args: unknown[]) => Socket

/** Some tests name port 5432: they mean the one that all others take from the environment. */
const connect = Reflect.get(Socket.prototype, 'connect') as Connect
const port = Number(process.env.PGPORT)
Socket.prototype.connect = function (this: Socket, ...args: unknown[]) {
  const [first, second, ...rest] = args
  if (first !== 5432) return connect.apply(this, args)
  return typeof second === 'string'
    ? connect.call(this, port, '127.0.0.1', ...rest)
    : connect.call(this, port, '127.0.0.1', second, ...rest)
}
