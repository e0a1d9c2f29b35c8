import type { Entry } from './entry.ts'

declare const stored: unique symbol
/** Proof that an entry is in the log: `seq` is that of the last record of its write. Made by the recorder only. */
export type Stored = { readonly seq: number; readonly [stored]: true }

/**
 * The append-only log. `written`: write(2) has returned. `synced`: fdatasync has returned too; grouped, so that many
 * waiting entries share one. Rejects with Fault `unrecordable` when the entry is not in the log; the log then stays
 * closed for appends until a write succeeds again.
 */
export interface Recorder extends AsyncDisposable {
  append(entry: Entry, durability: 'written' | 'synced'): Promise<Stored>
  /** Signs the head of the chain, appends the checkpoint and prints its line. */
  checkpoint(): Promise<void>
}
