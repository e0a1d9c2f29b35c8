import type { Figure, Table } from './figure.ts'
import { runFigures } from './run.ts'
import { interleave, mapArms } from './stage/arms.ts'
import { drain } from './stage/drain.ts'

/** What is read: always 8 columns of every row. */
const KINDS = {
  plain: { about: 'nothing to mask or search', columns: 'id, shop, rank, active, score, born, seen, reference' },
  masked: { about: '2 of 8 columns masked', columns: 'id, shop, rank, active, email, card, seen, reference' },
  detected: {
    about: '4 text columns searched',
    columns: 'id, shop, rank, active, name, address, notes, reference::text',
  },
} as const

/** A whole table read at once by a client that does nothing with it. */
export const rows: Figure = {
  name: 'rows',
  about: 'SELECT of 8 columns of a whole table: nothing sensitive, 2 columns masked, text searched by detectors',
  run: async (stage, size) => {
    const tables: Table[] = []
    for (const [kind, { about, columns }] of Object.entries(KINDS)) {
      const sql = `SELECT ${columns} FROM customers`
      for (const arm of stage.arms) await drain(arm, sql, size.rows)
      const samples = await interleave(stage.arms, size.rounds, (arm) => drain(arm, sql, size.rows))
      tables.push({
        name: `rows-${kind}`,
        title: `${size.rows.toLocaleString('en')} rows, ${about}`,
        unit: 'rows a second',
        better: 'higher',
        rivals: ['direct', 'pgbouncer'],
        arms: mapArms(samples, ({ seconds }) => size.rows / seconds),
      })
    }
    return tables
  },
}

if (import.meta.main) await runFigures([rows], process.argv.slice(2))
