import { execFileSync, spawn, type ChildProcess, type StdioOptions } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { chown, writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { delimiter, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { freePort } from '../../test/postgres.ts'
import { CLIENT, DATABASE } from './database.ts'

export type Pgbouncer = AsyncDisposable & { readonly port: number; readonly pid: number; readonly version: string }

/** Debian puts it where PATH may not look. */
const PLACES = [...(process.env.PATH ?? '').split(delimiter), '/usr/sbin', '/usr/local/sbin']

/** Its parent: says its process id, and ends it when its own standard input ends, in whatever way the benchmark does. */
const KEEPER = '"$@" & echo $!; server=$!; read -r line; kill -TERM $server; wait $server'
const PIPES: StdioOptions = ['pipe', 'pipe', 'inherit']

/** Where pgbouncer is installed; undefined when it is not. */
function findPgbouncer(): string | undefined {
  return PLACES.map((place) => join(place, 'pgbouncer')).find((path) => existsSync(path))
}

/** Starts it in front of the database, session pooling, passwords by SCRAM; undefined when it is not installed. */
export async function startPgbouncer(
  directory: string,
  target: number,
  sessions: number,
): Promise<Pgbouncer | undefined> {
  const program = findPgbouncer()
  if (program === undefined) return undefined
  const port = await freePort()
  const config = await writeConfig(directory, configText(directory, port, target, sessions))
  const account = process.getuid?.() === 0 ? { uid: id('-u'), gid: id('-g') } : {}
  const keeper = spawn('sh', ['-c', KEEPER, 'keeper', program, '-q', config], { ...account, stdio: PIPES })
  const ended = once(keeper, 'close')
  const [pid] = (await once(keeper.stdout!, 'data')) as [Buffer]
  await listening(port, keeper)
  return {
    port,
    pid: Number(pid),
    version: versionOf(program),
    [Symbol.asyncDispose]: async () => {
      keeper.stdin!.end()
      await ended
    },
  }
}

function versionOf(program: string): string {
  const [line] = execFileSync(program, ['--version'], { encoding: 'utf8' }).split('\n')
  return line!.replace(/^\S+ /, '')
}

function configText(directory: string, port: number, target: number, sessions: number): string {
  return `[databases]
${DATABASE} = host=127.0.0.1 port=${target} dbname=${DATABASE}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = ${port}
unix_socket_dir =
auth_type = scram-sha-256
auth_file = ${join(directory, 'pgbouncer-users')}
pool_mode = session
server_reset_query = DISCARD ALL
max_client_conn = ${sessions}
default_pool_size = ${sessions}
ignore_startup_parameters = extra_float_digits
log_connections = 0
log_disconnections = 0
`
}

/** It refuses to run as root; as `nobody` it must still read its files. */
async function writeConfig(directory: string, text: string): Promise<string> {
  const [config, users] = [join(directory, 'pgbouncer.ini'), join(directory, 'pgbouncer-users')]
  await writeFile(config, text)
  await writeFile(users, `"${CLIENT.user}" "${CLIENT.password}"\n`)
  if (process.getuid?.() !== 0) return config
  for (const path of [directory, config, users]) await chown(path, id('-u'), id('-g'))
  return config
}

function id(flag: '-u' | '-g'): number {
  return Number(execFileSync('id', [flag, 'nobody'], { encoding: 'utf8' }))
}

async function listening(port: number, keeper: ChildProcess): Promise<void> {
  while (!(await accepts(port))) {
    if (keeper.exitCode !== null) throw new Error(`pgbouncer ended with ${keeper.exitCode}`)
    await sleep(20)
  }
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1')
    socket.once('error', () => resolve(false))
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
  })
}
