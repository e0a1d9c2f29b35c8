import { after, before, describe } from 'node:test'
import { execute, parse, bind, query, run, sync } from '../client-messages.ts'
import { frame, str } from '../frames-builder.ts'
import type { Scene } from '../scene.ts'
import { attacks, startRange, type Attack } from './attack.ts'

let scene: Scene
before(async () => {
  scene = await startRange()
})
after(() => scene?.[Symbol.asyncDispose]())

const refused = (texts: readonly string[]): readonly Attack[] =>
  texts.map((text) => ({ title: text, steps: ['BEGIN', text], code: '42501' }))

describe('COPY shows nothing hidden, in no form and no format', () => {
  attacks(
    () => scene,
    refused([
      'COPY people TO STDOUT',
      'COPY people TO STDIN',
      'COPY people (id, secret) TO STDOUT CSV HEADER',
      'copy binary people to stdout',
      'COPY public.people (pin) TO STDOUT WITH (FORMAT binary)',
      'COPY "people" ("born") TO STDOUT DELIMITER \'|\'',
      "COPY (SELECT secret FROM people) TO STDOUT WITH (FORMAT csv, QUOTE 'v', FORCE_QUOTE *)",
      'COPY (TABLE people) TO STDOUT',
      'COPY (VALUES ((SELECT secret FROM people WHERE id = 1))) TO STDOUT',
      'COPY (SELECT p FROM people p) TO STDOUT',
      'COPY (SELECT p.* FROM people p) TO STDOUT',
      'COPY (SELECT id FROM people ORDER BY secret) TO STDOUT',
      "COPY (SELECT id FROM people WHERE secret LIKE 'zq%') TO STDOUT",
      'COPY (SELECT secret FROM people UNION SELECT secret FROM people) TO STDOUT',
      'COPY (WITH s AS (SELECT * FROM people) SELECT * FROM s) TO STDOUT',
      'COPY (UPDATE people SET notes = notes WHERE id = 1 RETURNING secret) TO STDOUT',
      'COPY (UPDATE people SET notes = notes WHERE id = 1 RETURNING *) TO STDOUT',
      'COPY (SELECT secret_of(1)) TO STDOUT',
      'COPY reach TO STDOUT',
      'COPY reach_kept TO STDOUT',
      'COPY (SELECT * FROM reach) TO STDOUT',
      'COPY brood TO STDOUT',
      'COPY hatch TO STDOUT',
      "COPY (SELECT * FROM pg_stats WHERE tablename = 'people') TO STDOUT",
      'COPY pg_statistic TO STDOUT',
      'COPY pg_authid TO STDOUT',
      'COPY vault TO STDOUT',
      'COPY vault_view TO STDOUT',
      'COPY (SELECT code FROM vault_view) TO STDOUT',
      'SELECT 1; COPY (SELECT id FROM people) TO STDOUT; COPY people TO STDOUT',
    ]),
  )
})

describe('COPY reaches neither files nor programs of the server', () => {
  attacks(
    () => scene,
    refused([
      "COPY (SELECT id, name FROM people) TO '/dev/null'",
      "COPY people TO '/tmp/out'",
      "COPY decoy FROM '/etc/passwd'",
      "COPY (SELECT 1) TO PROGRAM 'cat'",
      "COPY decoy FROM PROGRAM 'id'",
    ]),
  )
})

const data = (text: string): Buffer => frame('d', Buffer.from(text))
const done = frame('c')
const fail = frame('f', str('no'))

describe('COPY writes only where it may, and its input is never taken for something else', () => {
  const rows: readonly Attack[] = [
    {
      title: 'into what a rule forbids',
      steps: [[query('COPY vault FROM STDIN'), data('9\tx\n'), done]],
      code: '42501',
    },
    { title: 'into a view of it', steps: [[query('COPY vault_view FROM STDIN'), data('9\tx\n'), done]], code: '42501' },
    { title: 'into the system', steps: [[query('COPY pg_class FROM STDIN'), data('9\tx\n'), done]], code: '42501' },
    {
      title: 'a value that is taken is not shown by its error',
      steps: [[query('COPY people (id, name, secret) FROM STDIN'), data('9\tx\tzqvelvet\n'), done]],
      code: '23505',
    },
    {
      title: 'a trigger that tells in a notice, in an error',
      steps: [
        [query('COPY visits (id, kind) FROM STDIN'), data('9\tnotice\n8\twarning\n7\terror\n'), done],
        [query('COPY visits (id, kind) FROM STDIN'), data('9\tcast\n'), done],
      ],
      code: '*',
    },
    {
      title: 'a Query behind a COPY that has failed, and more input',
      steps: [
        [query('COPY decoy FROM STDIN'), data('none\t1\n'), data('x\n'), done, query('SELECT secret FROM people')],
        [query("SELECT secret || '' FROM people")],
      ],
      code: '22P02',
    },
    {
      title: 'a Query in the bytes of a row',
      steps: [
        [query('COPY decoy FROM STDIN'), data(query("SELECT secret || '' FROM people").toString('latin1')), fail],
      ],
      code: '*',
    },
    {
      title: 'a Query behind CopyFail',
      steps: [[query('COPY decoy FROM STDIN'), fail, query('SELECT secret::int FROM people')]],
      code: '42501',
    },
    {
      title: 'input for a COPY that was refused goes to the one behind it, or nowhere',
      steps: [[query('COPY vault FROM STDIN'), data('9\tx\n'), done, query('COPY decoy FROM STDIN'), fail]],
      code: '42501',
    },
    {
      title: 'prepared once as a SELECT, then again as a COPY',
      steps: [
        [parse('SELECT id FROM people', 's'), sync],
        [parse('COPY people TO STDOUT', 's'), bind({ statement: 's' }), execute(), sync],
      ],
      code: '42501',
    },
    { title: 'in the extended protocol', steps: [[run('COPY people TO STDOUT'), sync]], code: '42501' },
    {
      title: 'in the extended protocol, in binary',
      steps: [[parse('COPY (SELECT pin FROM people) TO STDOUT BINARY'), bind({ formats: [1] }), execute(), sync]],
      code: '42501',
    },
  ]
  attacks(() => scene, rows)
})
