import assert from 'node:assert/strict'
import { once } from 'node:events'
import { PROMPT, type Stage } from './agent.ts'
import { command } from './commands.ts'

type Notice = { readonly message?: string }

const UPDATE = 'UPDATE customers SET points = points + 100 WHERE id IN (3, 5, 8)'
const NOTICE_MS = 15_000

/** Chapter 5: a statement waits in its connection for a human, not the agent's own; then exactly that runs, once. */
export async function heldUpdate(stage: Stage): Promise<void> {
  const { agent, story } = stage
  story.chapter('An UPDATE with WHERE is held until somebody of the group dba approves it')
  const before = await points(stage)
  story.types(PROMPT, UPDATE)
  const noticed = once(agent, 'notice', { signal: AbortSignal.timeout(NOTICE_MS) }) as Promise<[Notice]>
  const running = agent.query(UPDATE)
  const [{ message = '' }] = await Promise.race([noticed, running.then(ranUnasked)])
  story.output(`NOTICE:  ${message}`)
  const id = /apr_[0-9a-f-]+/.exec(message)?.[0]
  assert.ok(id, 'the notice names the approval')
  await vote(stage, id, before)

  const { rowCount } = await running
  story.say('In the same moment the statement, which waited in its connection, runs:')
  story.types(PROMPT, UPDATE)
  story.output(`UPDATE ${rowCount}`)
  assert.equal(rowCount, 3, 'rows that the statement changed')
  const after = await points(stage)
  const raised = before.map((value) => value + 100)
  assert.deepEqual(after, raised, 'it ran exactly once')
  story.tick(`It ran exactly once: ${before.join(', ')} points became ${after.join(', ')}`)
}

async function vote(stage: Stage, id: string, before: readonly number[]): Promise<void> {
  const { demo, story } = stage
  const listed = await command(demo, story, 'grace', ['approvals', '--state', 'pending'])
  assert.ok(listed.output.includes(id), 'the approver sees what waits')
  story.say('Ada is in the group dba too, but this is her own agent:')
  const own = await command(demo, story, 'ada', ['approve', id], 1)
  assert.equal(own.code, 1, 'nobody approves what their own agent asks for')
  assert.match(own.output, /own request/, 'the refusal says why')
  assert.deepEqual(await points(stage), before, 'nothing ran yet')
  story.say('Grace reads the card, made of the parsed statement and not of what the agent says, and approves:')
  const given = await command(demo, story, 'grace', ['approve', id])
  assert.equal(given.code, 0, 'somebody else of the group approves')
}

function ranUnasked(): never {
  throw new Error('the UPDATE ran without approval')
}

async function points({ demo }: Stage): Promise<readonly number[]> {
  const rows = await demo.shop.truth('SELECT points FROM customers WHERE id IN (3, 5, 8) ORDER BY id')
  return rows.map((row) => Number(row['points']))
}
