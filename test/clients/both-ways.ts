import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { startScene, type Scene, type SceneOptions } from '../scene.ts'

/** A gateway that stands in nobody's way: everything is permitted, nothing hidden, sessions are those of a superuser. */
export async function startOpenScene(options: SceneOptions = {}): Promise<Scene> {
  const scene = await startScene({
    policies: `
      @id("all-connect") permit (principal, action == Action::"connect", resource);
      @id("all-do") permit (principal, action, resource);
      @id("no-walls") permit (principal, action == Action::"sql.privileged", resource);`,
    target: { lease: { password: 'file:./admin-url' }, sensitive: {}, detect: [] },
    ...options,
  })
  await scene.truth('ALTER ROLE sallyport SUPERUSER')
  return scene
}

/** Where a client connects to: with these in its environment libpq does. */
export type Way = { readonly port: number; readonly password: string }

/** The two ways to the same database, as the same role. */
export async function waysTo(scene: Scene): Promise<{ readonly direct: Way; readonly through: Way }> {
  return {
    direct: { port: scene.postgres.port, password: 'the-gateway' },
    through: { port: scene.gateway.postgres.port, password: await scene.token() },
  }
}

export type Run = { readonly code: number | string | null | undefined; readonly output: string }

/** Runs a client program to its end, for a minute at most; libpq's variables say where to. */
export function runClient(program: string, args: readonly string[], way: Way, input = ''): Promise<Run> {
  const { PATH } = process.env
  const env = {
    PATH,
    LC_ALL: 'C.UTF-8',
    HOME: '/nonexistent',
    PGHOST: '127.0.0.1',
    PGPORT: String(way.port),
    PGUSER: 'sallyport',
    PGDATABASE: 'orders',
    PGPASSWORD: way.password,
  }
  const options = { env, timeout: 60_000, maxBuffer: 1 << 26 }
  return new Promise((resolve) => {
    const child = execFile(program, [...args], options, (error, stdout, stderr) =>
      resolve({ code: error ? error.code : 0, output: stdout + stderr }),
    )
    child.stdin?.on('error', () => undefined).end(input)
  })
}

/** Why tests with a client are left out: said where it is not installed; false in CI, where they fail then. */
export function without(what: string, ...files: readonly string[]): string | false {
  return process.env.CI || files.every((file) => existsSync(file)) ? false : `${what} is not installed`
}
