import { bind, execute, parse, sync } from '../client-messages.ts'
import { frame, str, u16, u32 } from '../frames-builder.ts'

/** Messages that end a session: malformed, too long, or none that a client may send. */
export const HOSTILE: Readonly<Record<string, readonly Buffer[]>> = {
  'a Query that says it has 65 MiB': [Buffer.from('5104100000', 'hex')],
  'a Query that says it has 2 GiB': [Buffer.from('517fffffff', 'hex')],
  'a negative length': [Buffer.from('51ffffffff', 'hex')],
  'a length of 3': [Buffer.from('5100000003', 'hex')],
  'a type of message that there is not': [frame('z')],
  'a type that only targets send': [frame('Z', Buffer.from('I'))],
  'a password after the start': [frame('p', str('token'))],
  'a Query with a NUL in it': [frame('Q', str('SELECT 1\0; DROP TABLE customers'))],
  'a Query without its NUL': [frame('Q', Buffer.from('SELECT 1'))],
  'a Query that is no UTF-8': [frame('Q', Buffer.from('53454c454354202780ff2700', 'hex'))],
  'a Parse with -1 types': [frame('P', str(''), str('SELECT 1'), u16(-1)), sync],
  'a Parse with bytes behind it': [frame('P', str(''), str('SELECT 1'), u16(0), u16(0)), sync],
  'a Bind with a value of -2 bytes': [
    parse('SELECT $1'),
    frame('B', str(''), str(''), u16(0), u16(1), u32(-2), u16(0)),
  ],
  'a Bind with a format 7': [parse('SELECT 1'), bind({ formats: [7] }), execute(), sync],
  'a Bind with more values than it has': [frame('B', str(''), str(''), u16(0), u16(9), u16(0)), sync],
  'a Describe of neither kind': [frame('D', Buffer.from('X'), str('')), sync],
  'a Close without a name': [frame('C', Buffer.from('S')), sync],
  'an Execute without its limit': [frame('E', str('')), sync],
  'a Sync with a body': [frame('S', Buffer.from('x'))],
  'more names than a session may have': [
    parse('SELECT 1', 's'),
    ...Array.from({ length: 10_100 }, (_, at) => bind({ portal: `p${at}`, statement: 's' })),
    sync,
  ],
}
