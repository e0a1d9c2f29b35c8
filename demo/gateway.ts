import { appendFileSync } from 'node:fs'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { startGateway, type Running } from '../src/start.ts'
import { freePort } from '../test/postgres.ts'

/** A gateway before the shop, with the files it is made of. */
export interface DemoGateway extends AsyncDisposable {
  readonly running: Running
  readonly config: string
  /** The checkpoint lines that it printed: what is to be kept on another machine. */
  readonly checkpoints: string
}

type Surroundings = {
  /** Where its files go. */
  readonly directory: string
  readonly issuer: string
  readonly shop: { readonly url: string; readonly admin: string }
  readonly warn: (line: string) => void
}

/** Writes `sallyport.yaml` and its policies, and starts the gateway that they describe. */
export async function startDemoGateway(surroundings: Surroundings): Promise<DemoGateway> {
  const { directory, shop, warn } = surroundings
  const [config, checkpoints] = [join(directory, 'sallyport.yaml'), join(directory, 'checkpoints.log')]
  await writeFile(config, await configText(surroundings))
  await writeFile(join(directory, 'orders-admin-url'), shop.admin, { mode: 0o600 })
  await writePolicies(join(directory, 'policies'))
  await writeFile(checkpoints, '')
  const running = await startGateway(config, { checkpoint: (line) => appendFileSync(checkpoints, `${line}\n`), warn })
  return { running, config, checkpoints, [Symbol.asyncDispose]: () => running.drain() }
}

async function configText({ issuer, shop }: Surroundings): Promise<string> {
  const [admin, postgres] = await Promise.all([freePort(), freePort()])
  return `version: 1
listen: { admin: 127.0.0.1:${admin}, postgres: 127.0.0.1:${postgres} }
identity:
  - name: corp
    kind: [ { agent: { client_type: agent } }, user ]
    person: email
    oidc: { issuer: "${issuer}", audience: sallyport, groups: groups }
    may_assert: ["data-*", dba]
targets:
  - name: orders
    labels: { env: demo }
    postgres:
      url: ${shop.url}
      lease: { postgres-role: { admin: file:./orders-admin-url, member_of: [orders_writer], owner: orders_owner } }
      sensitive: { pii: [public.customers.email, public.customers.phone], card: [public.customers.card] }
      detect: [credit_card, email]
policies: ./policies
admin: { operators: [dba], auditors: [dba] }
`
}

/** The policies to start from, with more time to approve for whoever tries this for the first time. */
async function writePolicies(directory: string): Promise<void> {
  const starter = await readFile(join(import.meta.dirname, '../examples/policies/start.cedar'), 'utf8')
  await mkdir(directory)
  await writeFile(
    join(directory, 'start.cedar'),
    starter.replace('@hold("group:dba")', '@hold("group:dba")\n@wait("5m")'),
  )
}
