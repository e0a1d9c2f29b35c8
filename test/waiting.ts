import { setTimeout as sleep } from 'node:timers/promises'

/** However busy the machine is. Orphaned roles are swept every 10 s: what goes sooner went with its session. In ms. */
const PATIENCE_MS = 8_000

/** Looks until it is so; fails when it is not within the time. */
export async function within(what: string, isSo: () => Promise<boolean>, ms = PATIENCE_MS): Promise<void> {
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
