import assert from 'node:assert/strict'
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { mkdir, mkdtemp, rename, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { systemClock, type Clock } from '../gateway/clock.ts'
import { fingerprint } from './sources.ts'
import { watchFiles, type WatchOptions } from './watch.ts'

describe('files that are watched', () => {
  let directory: string
  before(async () => (directory = await mkdtemp(join(tmpdir(), 'sallyport-watch-'))))
  after(() => rm(directory, { recursive: true }))

  /** Watches the file `a` of a directory; `next` resolves with the next change that was told. */
  const watching = async (place: string, options: Partial<WatchOptions>) => {
    const path = join(place, 'a')
    let print = await fingerprint([path])
    let told = Promise.withResolvers<void>()
    const watch = watchFiles({
      directories: () => [place],
      isStale: async () => (await fingerprint([path])) !== print,
      changed: async () => {
        print = await fingerprint([path])
        told.resolve()
        told = Promise.withResolvers()
      },
      clock: systemClock,
      warn: (line) => assert.fail(line),
      ...options,
    })
    return { path, next: () => told.promise, [Symbol.asyncDispose]: () => watch[Symbol.asyncDispose]() }
  }
  const NEVER_MS = 3_600_000
  /** `asleep` is called when only the file system can make it look again. */
  const clockThatTells = (asleep: () => void): Clock => ({
    ...systemClock,
    sleep: (ms, signal) => {
      if (ms === NEVER_MS && !signal?.aborted) asleep()
      return systemClock.sleep(ms, signal)
    },
  })

  it('are read anew when the file system says that something happened', async () => {
    await using files = await watching(directory, { everyMs: NEVER_MS })
    for (const text of ['one', 'two']) {
      const told = files.next()
      await writeFile(files.path, text)
      await told
    }
  })

  it('are looked at now and then where it says nothing', async () => {
    await using files = await watching(directory, { everyMs: 20, directories: () => [] })
    const told = files.next()
    await writeFile(files.path, 'three')
    await told
  })

  it('are followed into a directory that took the place of theirs', async () => {
    const place = join(directory, 'policies')
    await mkdir(place)
    await using files = await watching(place, { everyMs: NEVER_MS, directories: () => [directory, place] })
    let told = files.next()
    await mkdir(`${place}.new`)
    await writeFile(join(`${place}.new`, 'a'), 'one')
    await rename(place, `${place}.old`)
    await rename(`${place}.new`, place)
    await told
    told = files.next()
    await writeFile(files.path, 'two')
    await told
  })

  it('are looked at once more when their directory is watched: what happened just before nobody tells', async () => {
    const place = join(directory, 'late')
    await mkdir(place)
    const missed = Promise.withResolvers<string>()
    let looks = 0
    const directories = (): readonly string[] => {
      if (looks++ === 0) writeFileSync(join(place, 'a'), 'after the last look')
      return [place]
    }
    const clock = clockThatTells(() => missed.resolve('missed'))
    await using files = await watching(place, { everyMs: NEVER_MS, directories, clock })
    assert.equal(await Promise.race([missed.promise, files.next().then(() => 'told')]), 'told')
  })

  it('are followed into a directory that was made anew, whatever its inode', async () => {
    const place = join(directory, 'again')
    await mkdir(place)
    let asleep = Promise.withResolvers<void>()
    const clock = clockThatTells(() => asleep.resolve())
    await using files = await watching(place, { everyMs: NEVER_MS, directories: () => [directory, place], clock })
    await asleep.promise
    asleep = Promise.withResolvers()
    rmSync(place, { recursive: true })
    mkdirSync(place)
    await asleep.promise
    const told = files.next()
    await writeFile(files.path, 'new')
    await told
  })

  it('are told of by content: what is written again as it was is no change', async () => {
    await writeFile(join(directory, 'a'), 'same')
    const before = await fingerprint([join(directory, 'a')])
    await writeFile(join(directory, 'a'), 'same')
    assert.equal(await fingerprint([join(directory, 'a')]), before)
    await rm(join(directory, 'a'))
    assert.notEqual(await fingerprint([join(directory, 'a')]), before)
  })
})
