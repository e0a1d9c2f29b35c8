import { after, before, describe } from 'node:test'
import { bind, execute, flush, parse, query, run, sync } from '../client-messages.ts'
import type { Scene } from '../scene.ts'
import { attacks, startRange, type Attack } from './attack.ts'

let scene: Scene
before(async () => {
  scene = await startRange()
})
after(() => scene?.[Symbol.asyncDispose]())

const SETTINGS = 'a ParameterStatus is searched by the detectors only'

describe('errors of the target say no values', () => {
  const rows: readonly Attack[] = [
    { title: 'NOT NULL shows the failing row', steps: ['UPDATE people SET name = NULL WHERE id = 1'], code: '23502' },
    { title: 'CHECK shows the failing row', steps: ['UPDATE people SET pin = -pin WHERE id = 1'] },
    { title: 'CHECK of a constant', steps: ['UPDATE people SET pin = -1 WHERE id = 1'], code: '42501' },
    { title: 'a new CHECK', steps: ['ALTER TABLE people ADD CHECK (length(secret) < 2)'] },
    { title: 'a primary key', steps: ['UPDATE people SET id = 1 WHERE id = 2'], code: '23505' },
    { title: 'a unique key', steps: ["INSERT INTO people (id, name, secret) SELECT 9, 'x', lower('ZQVELVET')"] },
    { title: 'an exclusion', steps: ["INSERT INTO people (id, name, pin) VALUES (9, 'x', 70000000 + 3519264)"] },
    { title: 'a foreign key', steps: ["UPDATE visits SET secret = 'nobody' WHERE id = 1"], code: '23503' },
    { title: 'a foreign key from below', steps: ['DELETE FROM people WHERE id = 1'], code: '23503' },
    { title: 'a cascade', steps: ["UPDATE people SET secret = 'a' WHERE id = 2; SELECT 1 / 0"], code: '42501' },
    { title: 'a unique index', steps: ['CREATE UNIQUE INDEX ON people (left(secret, 2))'] },
    { title: 'a column made NOT NULL', steps: ['ALTER TABLE people ALTER secret SET NOT NULL, ALTER notes TYPE int USING 1'] },
    { title: 'a cast', steps: ['SELECT secret::int FROM people'], code: '42501' },
    { title: 'a cast of a type', steps: ['ALTER TABLE people ALTER secret TYPE int USING secret::int'], code: '42501' },
    { title: 'a domain', steps: ['CREATE DOMAIN short AS text CHECK (length(value) < 2)', 'SELECT secret::short FROM people'] },
    { title: 'a partition', steps: ['BEGIN', 'CREATE TABLE par (LIKE people) PARTITION BY LIST (secret)', 'INSERT INTO par TABLE people'] },
  ] // prettier-ignore
  attacks(
    () => scene,
    rows.map((row) => (row.title === 'a domain' ? { ...row, changes: true as const } : row)),
  )
})

describe('triggers say no values', () => {
  const fire = (kind: string): string => `UPDATE visits SET kind = '${kind}' WHERE id = 1`
  const kinds: readonly (readonly [string, string?])[] = [
    ['notice'],
    ['warning'],
    ['error', 'ZZ001'],
    ['names', 'P0001'],
    ['cast', '22P02'],
    ['notify'],
    ['channel'],
    ['setting'],
    ['zone'],
    ['path'],
  ]
  const rows = kinds.flatMap(([kind, code]): Attack[] => {
    const hole = kind === 'setting' || kind === 'zone' || kind === 'path' ? SETTINGS : undefined
    const ends = { ...(code && { code }), ...(hole && { hole }) }
    return [
      { title: `${kind} in a text`, steps: ['BEGIN', fire(kind), 'SELECT 1', 'ROLLBACK'], ...ends },
      { title: `${kind} among statements`, steps: [`BEGIN; ${fire(kind)}; ROLLBACK; SELECT 1`], ...ends },
      { title: `${kind} in a batch`, steps: ['BEGIN', [run(fire(kind)), sync], [query('ROLLBACK')]], ...ends },
    ]
  })
  attacks(() => scene, rows)
})

describe('what comes with a commit says no values', () => {
  const late = (kind: string): string => `INSERT INTO late VALUES (1, '${kind}')`
  const twice = "INSERT INTO visits (id, kind, later) VALUES (7, 'quiet', 1)"
  attacks(
    () => scene,
    [
      { title: 'COMMIT with a deferred key', steps: ['BEGIN', twice, 'COMMIT'], code: '23505' },
      { title: 'COMMIT with a deferred trigger', steps: ['BEGIN', late('error'), 'COMMIT'], code: 'ZZ001' },
      { title: 'COMMIT by another name', steps: ['BEGIN', late('names'), 'END'], code: 'P0001' },
      { title: 'COMMIT of a text', steps: [`BEGIN; ${late('error')}; COMMIT`], code: 'ZZ001' },
      { title: 'COMMIT of a text that says none', steps: [`${late('error')}; SELECT 1`], code: 'ZZ001' },
      { title: 'COMMIT in a batch', steps: ['BEGIN', [run(late('error')), run('COMMIT'), sync]], code: 'ZZ001' },
      {
        title: 'COMMIT on its own, later',
        steps: ['BEGIN', late('cast'), 'SELECT 1', [run('COMMIT'), sync]],
        code: '22P02',
      },
      { title: 'a Sync that commits', steps: [[run(late('error')), sync]], code: 'ZZ001' },
      { title: 'a Sync after a Flush', steps: [[run(late('error')), flush, sync]], code: 'ZZ001' },
      { title: 'a Sync behind another statement', steps: [[run(late('error')), run('SELECT 1'), sync]], code: 'ZZ001' },
      { title: 'a Sync with a notice', steps: [[run(late('notice')), sync]], changes: true },
      { title: 'a Query behind a batch', steps: [[run(late('warning')), sync, query('SELECT 1')]], changes: true },
      { title: 'SET CONSTRAINTS', steps: ['BEGIN', late('error'), 'SET CONSTRAINTS ALL IMMEDIATE'], code: 'ZZ001' },
      {
        title: 'RELEASE and COMMIT',
        steps: ['BEGIN', 'SAVEPOINT a', late('error'), 'RELEASE a', 'COMMIT AND CHAIN'],
        code: 'ZZ001',
      },
    ],
  )
})

describe('what the target says of its own accord says no values', () => {
  const notify = (kind: string): string => `UPDATE visits SET kind = '${kind}' WHERE id = 1`
  attacks(
    () => scene,
    [
      { title: 'a notification of a trigger', steps: ['LISTEN news', notify('notify'), 'SELECT 1'], changes: true },
      { title: 'a channel of a trigger', steps: [notify('channel'), 'UNLISTEN *'], changes: true },
      {
        title: 'a notification in a batch',
        steps: ['LISTEN news', [parse(notify('notify')), bind(), execute(), sync], 'SELECT 1'],
        changes: true,
      },
      { title: 'a setting of a trigger', steps: [notify('setting'), 'SELECT 1'], changes: true, hole: SETTINGS },
      {
        title: 'a setting of a trigger in a batch',
        steps: [[run(notify('setting')), sync], 'SELECT 1'],
        changes: true,
        hole: SETTINGS,
      },
      { title: 'a time zone of a trigger', steps: [notify('zone'), 'SELECT 1'], changes: true, hole: SETTINGS },
      { title: 'a search path of a trigger', steps: [notify('path'), 'SELECT 1'], changes: true, hole: SETTINGS },
      { title: 'a setting shown', steps: [notify('setting'), 'SHOW application_name'], changes: true, hole: SETTINGS },
      {
        title: 'a setting read',
        steps: [notify('setting'), "SELECT current_setting('application_name')"],
        changes: true,
        hole: SETTINGS,
      },
      {
        title: 'a time zone read',
        steps: [notify('zone'), 'SELECT now()::text; SHOW timezone'],
        changes: true,
        hole: SETTINGS,
      },
      { title: 'all settings read', steps: [notify('setting'), 'SHOW ALL'], changes: true, hole: SETTINGS },
      {
        title: 'the settings as a table',
        steps: [notify('setting'), 'SELECT * FROM pg_settings'],
        changes: true,
        hole: SETTINGS,
      },
      { title: 'a search path read', steps: [notify('path'), 'SHOW search_path'], changes: true, hole: SETTINGS },
      {
        title: 'the sessions read',
        steps: [notify('setting'), 'SELECT application_name FROM pg_stat_activity'],
        code: '42501',
        changes: true,
        hole: SETTINGS,
      },
    ],
  )
})
