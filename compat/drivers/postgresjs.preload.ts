import { Socket } from 'node:net'
import { registerHooks } from 'node:module'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'

/** Loaded before postgres.js' suite: its runner, its server, and the port and the database it expects are ours. */

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
    const named = /\b(db|database): 'postgres_js_test'/g
    const source = new TextDecoder().decode(loaded.source as Uint8Array)
    return { ...loaded, source: source.replaceAll(named, `$1: '${process.env.DATABASE}'`) }
  },
})

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
