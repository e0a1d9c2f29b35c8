import { bind, close, describePortal, execute, flush, parse, query, sync } from '../client-messages.ts'

const LONG = 'x'.repeat(63)
const [ONE, OTHER] = ['SELECT 1', 'SELECT id FROM orders']

/** Sequences in which a name is not what one would think ("Extended Query"): played like captured sessions. */
export const SCRIPTS: readonly (readonly Buffer[])[] = [
  // Two names that differ behind the bytes that count.
  [
    [close('S', `${LONG}y`), parse(ONE, `${LONG}y`), sync, close('S', `${LONG}z`), parse(OTHER, `${LONG}z`), sync],
    [bind({ statement: `${LONG}y` }), execute(), sync, bind({ statement: `${LONG}z` }), execute(), sync],
  ],
  // A Close and a Parse that the target skips.
  [
    [close('S', 'a'), parse(ONE, 'a'), sync, bind({ statement: 'none' }), close('S', 'a'), parse(OTHER, 'a'), sync],
    [bind({ statement: 'a' }), execute(), sync],
  ],
  // A name that is taken keeps its meaning.
  [
    [close('S', 'p'), parse(ONE, 'p'), sync, parse(OTHER, 'p'), sync],
    [bind({ statement: 'p' }), execute(), sync],
  ],
  // SQL takes the name away, and gives it to something else.
  [
    [close('S', 'a'), parse(ONE, 'a'), sync, query('DEALLOCATE a'), query(`PREPARE a AS ${OTHER}`)],
    [bind({ statement: 'a' }), execute(), sync, query('EXECUTE a'), query('DEALLOCATE a')],
  ],
  // A cursor is a portal, and lives on until its transaction ends.
  [
    [query('BEGIN'), query(`DECLARE c CURSOR FOR ${OTHER}`), execute('c', 1), execute('c'), sync],
    [describePortal('c'), flush, query('CLOSE c'), parse(ONE), bind({ portal: 'c' }), execute('c'), sync],
    [query('ROLLBACK'), execute('c'), sync],
  ],
].map((steps) => steps.flat())
