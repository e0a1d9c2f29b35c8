import { functionCall } from '../client-messages.ts'

/** What a target's pg_proc says of its functions for large objects: OID -> name. */
export const LARGE_OBJECTS: ReadonlyMap<number, string> = new Map([
  [715, 'lo_create'],
  [764, 'lo_import'],
  [952, 'lo_open'],
  [953, 'lo_close'],
  [954, 'loread'],
  [955, 'lowrite'],
  [956, 'lo_lseek'],
  [957, 'lo_creat'],
  [958, 'lo_tell'],
  [964, 'lo_unlink'],
  [1004, 'lo_truncate'],
  [3170, 'lo_lseek64'],
])

const SET_CONFIG = 2078
const READ = 0x40000
const WRITE = 0x20000

/** FunctionCalls that are taken, ones that are refused, and ones that no function fits. */
export const CALLS: readonly Buffer[] = [
  functionCall(957, READ | WRITE),
  functionCall(715, 0),
  functionCall(952, 7, READ),
  functionCall(952, 7, READ | WRITE),
  functionCall(953, 0),
  functionCall(955, 0, Buffer.from('ada@example.com')),
  functionCall(955, 0, Buffer.alloc(70_000, 7)),
  functionCall(958, 0),
  functionCall(1004, 0, 9),
  functionCall(964, 7),
  functionCall(954, 0, 100),
  functionCall(956, 0, 0, 2),
  functionCall(3170, 0, Buffer.alloc(8), 2),
  functionCall(764, Buffer.from('/etc/passwd')),
  functionCall(SET_CONFIG, Buffer.from('role'), Buffer.from('postgres'), 0),
  functionCall(952),
  functionCall(964, 1, 2, 3),
  functionCall(964, null),
]

/** How the record of a FunctionCall begins. */
export function calledBy(frame: Buffer): string {
  return `FunctionCall ${LARGE_OBJECTS.get(frame.readUInt32BE(5)) ?? 'of another function'}(`
}
