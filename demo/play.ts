import { replaySession, roleGone, verifyLog } from './aftermath.ts'
import { deniedStatements, maskedRead, signIn } from './agent.ts'
import { heldUpdate } from './approval.ts'
import type { Demo } from './start.ts'
import type { Story } from './story.ts'

const LONGEST_MS = 90_000

/** Plays the story and checks each step. Throws, with what is not as told, or when it takes more than 90 s. */
export async function play(demo: Demo, story: Story): Promise<void> {
  const { promise, reject } = Promise.withResolvers<never>()
  const timer = setTimeout(() => reject(new Error(`the story takes more than ${LONGEST_MS / 1000} s`)), LONGEST_MS)
  try {
    await Promise.race([tell(demo, story), promise])
  } finally {
    clearTimeout(timer)
  }
}

async function tell(demo: Demo, story: Story): Promise<void> {
  const stage = await signIn(demo, story)
  try {
    await maskedRead(stage)
    await deniedStatements(stage)
    await heldUpdate(stage)
  } finally {
    await stage.agent.end()
  }
  await roleGone(demo, story)
  const last = await replaySession(demo, story)
  await verifyLog(demo, story, last)
  story.say('')
  story.tick('All of it was as told')
}
