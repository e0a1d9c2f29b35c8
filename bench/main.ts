import { extremes } from './extremes.ts'
import { firstSight } from './first-sight.ts'
import { idle } from './idle.ts'
import { latency } from './latency.ts'
import { pgbench } from './pgbench.ts'
import { rows } from './rows.ts'
import { runFigures } from './run.ts'
import { scale } from './scale.ts'
import { session } from './session.ts'

await runFigures([pgbench, latency, rows, firstSight, session, idle, scale, extremes], process.argv.slice(2))
