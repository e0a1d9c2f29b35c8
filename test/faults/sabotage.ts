/**
 * Loaded into a gateway's process before it (`node --import`): clocks that jump, and a disk that is slow, as the JSON file
 * named by SALLYPORT_SABOTAGE says at that moment. Everything else is as it is.
 */
import fs from 'node:fs'
import { syncBuiltinESMExports } from 'node:module'
import type { Sabotage } from './saboteur.ts'

const { now } = Date
const { performance } = globalThis
const monotonic = performance.now.bind(performance)
const { fdatasync } = fs
const { readFileSync } = fs

const told = (): Partial<Sabotage> => JSON.parse(readFileSync(process.env['SALLYPORT_SABOTAGE']!, 'utf8')) as Sabotage

Date.now = () => now() + (told().wallMs ?? 0)
performance.now = () => monotonic() + (told().elapsedMs ?? 0)
Object.defineProperty(performance, 'timeOrigin', { value: performance.timeOrigin + (told().wallMs ?? 0) })

const slowly = (fd: number, done: (error: NodeJS.ErrnoException | null) => void): void => {
  if (told().slowDisk) setTimeout(slowly, 20, fd, done)
  else fdatasync(fd, done)
}
Object.assign(fs, { fdatasync: slowly })
syncBuiltinESMExports()
