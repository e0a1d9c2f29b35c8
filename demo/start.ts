import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startDemoGateway, type DemoGateway } from './gateway.ts'
import { startIdp, type Account, type Idp } from './idp.ts'
import { startShop, type Shop } from './shop.ts'
import type { Story } from './story.ts'

/** All that the demo consists of. Disposing it ends it all and removes its directory. */
export interface Demo extends AsyncDisposable {
  readonly directory: string
  readonly shop: Shop
  readonly idp: Idp
  readonly gateway: DemoGateway
}

/** Ada is a DBA too, so that the story can show that she does not approve what her own agent asks for. */
const ACCOUNTS = [
  { id: 'report-bot', email: 'ada@example.com', groups: ['data-agents'], type: 'agent' },
  { id: 'ada', email: 'ada@example.com', groups: ['dba'] },
  { id: 'grace', email: 'grace@example.com', groups: ['dba'] },
] as const satisfies readonly Account[]

export type Actor = (typeof ACCOUNTS)[number]['id']

/** Starts a database, an identity provider and a gateway, all on free ports of this machine. */
export async function startDemo(story: Story): Promise<Demo> {
  await using starting = new AsyncDisposableStack()
  const directory = await mkdtemp(join(tmpdir(), 'sallyport-demo-'))
  starting.defer(() => rm(directory, { recursive: true, force: true }))
  const shop = starting.use(await startShop())
  story.tick('PostgreSQL 18 with a small shop: 50 customers, 200 orders')
  const idp = starting.use(await startIdp(ACCOUNTS))
  await writeTokens(directory, idp)
  story.tick(`OpenID Connect provider at ${idp.issuer}, with report-bot (an agent), ada and grace`)
  const warn = (line: string): void => story.warn(`gateway: ${line}`)
  const gateway = starting.use(await startDemoGateway({ directory, issuer: idp.issuer, shop, warn }))
  story.tick(`Sallyport between them, at 127.0.0.1:${gateway.running.postgres.port}`)
  const parts = starting.move()
  return { directory, shop, idp, gateway, [Symbol.asyncDispose]: () => parts.disposeAsync() }
}

/** Where the token of somebody lies, for commands to paste. */
export function tokenFile(directory: string, actor: Actor): string {
  return join(directory, 'tokens', actor)
}

async function writeTokens(directory: string, idp: Idp): Promise<void> {
  await mkdir(join(directory, 'tokens'))
  for (const { id } of ACCOUNTS) await writeFile(tokenFile(directory, id), await idp.token(id), { mode: 0o600 })
}
