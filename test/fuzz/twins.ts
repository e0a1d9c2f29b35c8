import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { systemClock } from '../../src/gateway/clock.ts'
import { openLocalTokens } from '../../src/identity/local-tokens.ts'
import { startGateway } from '../../src/start.ts'
import { rawConnect, type RawClient } from '../raw-client.ts'
import { ADMIN_PASSWORD, startShop, type Shop } from '../shop.ts'

/**
 * Two databases that differ in nothing but the values of hidden columns, behind one gateway: what a client hears of one
 * of them has to be, byte for byte, what it hears of the other.
 */
export interface Twins extends AsyncDisposable {
  /** A client of each, who may do everything. */
  connect(): Promise<readonly [RawClient, RawClient]>
  /** Asks one of them directly, as the superuser. */
  truth(database: string, sql: string): Promise<readonly Readonly<Record<string, unknown>>[]>
}

export const HIDDEN = [
  ...'secret pin born profile account rate tags raw span doc home mood seen'
    .split(' ')
    .map((name) => `public.people.${name}`),
  ...['mark', 'a b'].map((name) => `public.visits.${name}`),
  'public.hatch.mark',
  'public.years1.mark',
]

/**
 * What is not hidden is the same in both, and so is which hidden values are NULL. No value is beyond the range of another
 * type that it may be made: that one would tell (docs/decisions/0022-lineage.md).
 */
const SECRETS = [
  {
    people: [
      `'alpha', 5, '1990-01-01', '{"k": [1, null], "n": 1}', 'likes tea', 77, 1.5, '{x,y}', 'abcd', '[1,5)', '{"a":1}', '("Bern",3000)', 'calm', '2020-01-01'`,
      `'bravo', 70, '1985-05-05', '{"k": "x"}', 'likes navies', 600, 1e3, '{z}', '\\xff00', '(,)', '{"a":"\\u0000"}', '("Ulm",1)', 'wild', '2021-02-03'`,
      `NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL`,
      `'bravo', 0, 'infinity', '[]', '', 9, 'NaN', '{}', '', 'empty', '[]', '(,)', 'calm', 'infinity'`,
    ],
    marks: ['alpha', 'x', 'bravo'],
  },
  {
    people: [
      `'omega', 900, '2011-11-11', '7', 'likes tea', 60, 1e30, '{}', '\\xfe', 'empty', '{"a":"\\u0000"}', '(,1)', 'wild', '1999-01-01'`,
      `'12', 0, 'infinity', '{"k": {"q": 1}, "n": null}', 'likes navies', 1, 0, '{{a,b},{c,d}}', 'abc', '[3,9)', '{}', '(Ulm,)', 'calm', 'infinity'`,
      `NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL`,
      `'alpha', -4, '1900-01-01', '"s"', '', 12, 'Infinity', '{q,r,s}', '\\x00', '(,3)', '{"b":1e999999}', '(A,1)', 'calm', '1999-01-02'`,
    ],
    marks: ['omega', 'alpha', ''],
  },
] as const

const NAMES = ['Ada', 'Grace', 'Nil', 'Zoe']

function rows({ people, marks }: (typeof SECRETS)[number]): string {
  const [one, two, three] = marks.map((mark) => `'${mark}'`)
  return [
    ...people.map((values, place) => `INSERT INTO people VALUES (${place + 1}, '${NAMES[place]}', ${values})`),
    `INSERT INTO visits VALUES (1, 1, 'quiet', ${one}, ${two}, 'b1'), (2, 1, 'loud', ${two}, NULL, 'b2'), (3, 3, 'quiet', NULL, ${three}, '')`,
    `INSERT INTO plain VALUES (1, 10, 'alpha', 'c', 'p'), (2, 20, 'bravo', 'C', 'P'), (3, NULL, '12', NULL, 'p')`,
    `INSERT INTO brood VALUES (1, 'open')`,
    `INSERT INTO hatch VALUES (2, ${one}, 'more')`,
    `INSERT INTO years VALUES (1, ${three}, 1), (2, 'open', 2)`,
    'REFRESH MATERIALIZED VIEW kept',
  ].join(';\n')
}

export const TWINS = ['orders', 'mirror'] as const

export async function startTwins(): Promise<Twins> {
  await using starting = new AsyncDisposableStack()
  const read = (name: string): Promise<string> => readFile(join(import.meta.dirname, name), 'utf8')
  const target = { sensitive: { pii: HIDDEN }, detect: [] }
  const shop = starting.use(
    await startShop({
      sql: await read('twins.sql'),
      policies: await read('twins.cedar'),
      target,
      settings: ['autovacuum=off'],
    }),
  )
  const truth: Twins['truth'] = (database, sql) =>
    shop.postgres.query(sql, undefined, shop.postgres.admin.replace(/\/postgres$/, `/${database}`))
  await shop.postgres.query('CREATE DATABASE mirror TEMPLATE orders')
  await truth('mirror', 'GRANT CREATE, CONNECT, TEMPORARY ON DATABASE mirror TO orders_owner')
  for (const [place, database] of TWINS.entries()) await truth(database, rows(SECRETS[place]!))
  const gateway = await startGateway(await bothTargets(shop), { checkpoint: () => undefined, warn: () => undefined })
  starting.defer(() => gateway.drain())
  const tokens = await openLocalTokens({
    dataDir: gateway.config.data,
    installation: gateway.installation,
    clock: systemClock,
  })
  const parts = starting.move()
  const connect = async (database: string): Promise<RawClient> => {
    const password = await tokens.mint({ kind: 'Agent', name: 'twin', groups: [] })
    return rawConnect({ port: gateway.postgres.port, password, database })
  }
  return {
    truth,
    connect: async () => [await connect('orders'), await connect('mirror')],
    [Symbol.asyncDispose]: () => parts.disposeAsync(),
  }
}

type ConfigFile = { readonly targets: readonly { readonly postgres: { readonly lease: Record<string, object> } }[] }

/** The shop's config with a second target, which is the other database. */
async function bothTargets({ config, directory, postgres }: Shop): Promise<string> {
  const file = JSON.parse(await readFile(config, 'utf8')) as ConfigFile
  const [orders] = file.targets
  const lease = { 'postgres-role': { ...orders!.postgres.lease['postgres-role'], admin: 'file:./mirror-url' } }
  const mirror = { ...orders, name: 'mirror', postgres: { ...orders!.postgres, url: postgres.url('mirror'), lease } }
  await writeFile(join(directory, 'mirror-url'), postgres.url('mirror', 'sallyport', ADMIN_PASSWORD))
  await writeFile(config, JSON.stringify({ ...file, targets: [orders, mirror] }))
  return config
}
