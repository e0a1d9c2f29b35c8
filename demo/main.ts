import { once } from 'node:events'
import { parseArgs } from 'node:util'
import { guide } from './guide.ts'
import { play } from './play.ts'
import { startDemo } from './start.ts'
import { createStory } from './story.ts'

const HELP = `Usage: npm run demo [-- --play]

Starts a PostgreSQL with a small shop, an identity provider and Sallyport between them, all on this machine, and says what
to try. Ctrl-C ends and removes it all. Nothing else needs to be installed; psql helps.

  --play    play the story instead, with a real driver and the real commands: it checks each step and ends by itself
  --help    this text

Exit code: 0 done, 1 something was not as told, 2 wrong usage.`

type Wish = 'explore' | 'play' | 'help'

async function main(): Promise<void> {
  const wish = readWish()
  if (wish === undefined) process.exitCode = 2
  else if (wish === 'help') console.log(HELP)
  else await run(wish)
}

function readWish(): Wish | undefined {
  try {
    const { values } = parseArgs({ options: { play: { type: 'boolean' }, help: { type: 'boolean', short: 'h' } } })
    if (values.help) return 'help'
    return values.play ? 'play' : 'explore'
  } catch (error) {
    console.error(`demo: ${error instanceof Error ? error.message : String(error)}\n\n${HELP}`)
    return undefined
  }
}

async function run(wish: 'explore' | 'play'): Promise<void> {
  const story = createStory(console.log, console.error)
  const stop = stopSignal()
  try {
    console.log('Starting the demo:\n')
    await using demo = await startDemo(story)
    if (wish === 'explore') console.log(guide(demo))
    await Promise.race(wish === 'play' ? [play(demo, story), stopped(stop)] : [stopped(stop)])
    console.log('\nEnding the demo.')
  } catch (error) {
    if (stop.aborted) return
    console.error(`\ndemo: ${error instanceof Error ? error.message : String(error)}`)
    process.exitCode = 1
  } finally {
    if (stop.aborted && wish === 'play') process.exitCode = 130
  }
}

/** Aborts at a signal, or when nobody reads any more what is printed. Later signals change nothing: the end is on its way. */
function stopSignal(): AbortSignal {
  const controller = new AbortController()
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => controller.abort())
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => controller.abort())
  return controller.signal
}

async function stopped(signal: AbortSignal): Promise<void> {
  if (!signal.aborted) await once(signal, 'abort')
}

await main()
