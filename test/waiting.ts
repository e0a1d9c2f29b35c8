import { setTimeout as sleep } from 'node:timers/promises'

/** A session's role, sockets and statements are gone within this time of its end, in ms. */
const A_SECOND = 1_000

/** Looks until it is so; fails when it is not within the time. */
export async function within(what: string, isSo: () => Promise<boolean>, ms = A_SECOND): Promise<void> {
  const deadline = performance.now() + ms
  while (!(await isSo())) {
    if (performance.now() > deadline) throw new Error(`not within ${ms} ms: ${what}`)
    await sleep(10)
  }
}

/** A rule that lets the group sleepers call functions such as pg_sleep. */
export const SLEEPERS = `
@id("sleepers-call")
permit (principal in Group::"sleepers", action == Action::"sql.call", resource == Target::"orders");`
