import assert from 'node:assert/strict'
import { after, before, it } from 'node:test'
import { bind, describePortal, execute, parse, query, sync } from '../client-messages.ts'
import { fields, show, type Message, type RawClient } from '../raw-client.ts'
import { anyText } from './queries.ts'
import { random, seedOf } from './random.ts'
import { readRun } from './run.ts'
import { startTwins, type Twins } from './twins.ts'

const RUN = readRun(process.env.CI ? 3000 : 1500)
/** Of the texts, how many at least have to be answered with rows: what is refused tells nothing. */
const ANSWERED = 0.2
const PAIRS = 2
/** Texts in one write. */
const AT_ONCE = 20

let twins: Twins
before(async () => {
  twins = await startTwins()
})
after(() => twins?.[Symbol.asyncDispose]())

/** An error of the gateway's own has an id in its details. */
function heard({ type, body }: Message): Buffer {
  const own = type === 'E' && fields(body).get('D')?.startsWith('{"v":1,') === true
  return Buffer.concat([Buffer.from(type), own ? Buffer.from(fields(body).get('M') ?? '') : body])
}

/** What is sent of a life of the seed, and in how many parts it is answered. */
type Life = {
  readonly life: number
  readonly text: string
  readonly messages: readonly Buffer[]
  readonly parts: number
}

function lifeOf(life: number): Life {
  const choices = random(seedOf(RUN.seed, life))
  const extended = choices.once(4)
  const text = anyText(choices)
  if (extended && !text.includes(';')) {
    const messages = [parse(text), bind({ formats: [1] }), describePortal(), execute(), sync]
    return { life, text, messages, parts: 1 }
  }
  const ended = /^(BEGIN|PREPARE)/.test(text) ? [query('ROLLBACK'), query('DEALLOCATE ALL')] : []
  return { life, text, messages: [query(text), ...ended], parts: 1 + ended.length }
}

/** The answers to each, which are sent in one write. */
async function ask(client: RawClient, lives: readonly Life[]): Promise<readonly (readonly Message[])[]> {
  client.send(...lives.flatMap(({ messages }) => messages))
  const answers: (readonly Message[])[] = []
  for (const { parts } of lives) {
    const own: Message[] = []
    for (let part = 0; part < parts; part++) own.push(...(await client.ready()))
    answers.push(own)
  }
  return answers
}

/** How many of these lives were answered with rows. */
async function live(pair: readonly [RawClient, RawClient], numbers: readonly number[]): Promise<number> {
  const lives = numbers.map(lifeOf)
  const [one, other] = await Promise.all([ask(pair[0], lives), ask(pair[1], lives)])
  for (const [place, { life, text }] of lives.entries()) {
    const both = [one[place]!, other[place]!]
    const [a, b] = both.map((messages) => Buffer.concat(messages.map(heard)))
    const again = `SEED=${RUN.seed} LIFE=${life} node --test test/fuzz/lineage.test.ts`
    const said = both.map((messages) => show(messages).join(' | ').slice(0, 400))
    assert.ok(a!.equals(b!), `life ${life} (again: ${again}): ${text}\n${said.join('\n')}`)
  }
  return one.filter((messages) => messages.some(({ type }) => type === 'D')).length
}

const LONG = { timeout: 600_000 + (RUN.minutes === Infinity ? 0 : RUN.minutes * 60_000) }

it('tells the same of two databases that differ in hidden values only, whatever is asked', LONG, async (context) => {
  const end = performance.now() + RUN.minutes * 60_000
  let [next, answered] = [0, 0]
  const lane = async (): Promise<void> => {
    const pair = await twins.connect()
    while (next < RUN.frames && performance.now() < end) {
      const numbers = Array.from({ length: AT_ONCE }, () => next++)
      const more = await live(pair, numbers)
      answered += more
    }
  }
  if (RUN.life !== undefined) {
    await live(await twins.connect(), [RUN.life])
    return
  }
  await Promise.all(Array.from({ length: PAIRS }, lane))
  context.diagnostic(`seed ${RUN.seed}: ${next} texts, ${answered} answered with rows`)
  assert.ok(answered > next * ANSWERED, `${answered} of ${next} were answered with rows`)
})
