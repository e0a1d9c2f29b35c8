import type { Refusal } from '../../gateway/domain.ts'
import { refuse } from '../../gateway/refusals.ts'
import type { Soon } from '../../gateway/source.ts'
import type { Connection } from './connection.ts'
import type { Departure, Flight } from './moving-names.ts'

type Taken = { readonly flight: Flight | undefined } | { readonly refusal: Refusal }

/** A change of names waits so long for the statements of others that it affects, in ms: they may wait for its own locks. */
const PATIENCE_MS = 10_000

/** Where something is hidden by what names mean, they mean the same when a statement runs as when it was read. */
export function takeOff(
  connection: Connection,
  departure: Pick<Departure, 'sense' | 'readAt' | 'boundAt'>,
): Soon<Taken> {
  const { target, session, wall } = connection
  if (target.classes.length === 0) return { flight: undefined }
  const exposed = session.opening.hidden.length > 0 && !wall
  const flight = target.moving.depart({ ...departure, owner: session, exposed })
  if (flight === 'moved') return { refusal: MOVED }
  return target.moving.isClear(flight) ? { flight } : wait(connection, flight)
}

async function wait({ target, session }: Connection, flight: Flight): Promise<Taken> {
  const over = new AbortController()
  const { clock } = session.core
  const ended = AbortSignal.any([over.signal, session.stopped])
  void clock.sleep(PATIENCE_MS, ended).then(() => over.abort())
  await target.moving.clear(flight, ended)
  over.abort()
  if (target.moving.isClear(flight)) return { flight }
  target.moving.withdraw(flight)
  return { refusal: BUSY }
}

const MOVED = refuse('unavailable', 'Names in this were changed by another session after it was read.', [
  { do: 'wait', hint: 'Send it again.' },
])
const BUSY = refuse('unavailable', 'Statements of other sessions that use what this changes are still running.', [
  { do: 'wait', hint: 'Send it again when they are done.' },
])
