/** Who goes on when, among those who ask for much and those who ask for little. */
export interface Turns {
  /** Somebody asks for little. */
  small(): void
  /** Resolves when somebody who has had a share may have the next. */
  next(): Promise<void>
}

/** While others ask, whoever asks for much has one part in this many of the time. */
const PART = 4
/** What the others get at a time, in ms: no less than a timer can tell, and no more than anybody should have to wait. */
const LEAST_MS = 1
const MOST_MS = 50

/**
 * One event loop works for all sessions: what one of them makes of a thousand messages at once would keep the others
 * waiting. So whoever has had a share waits here, and one of those who wait goes on at a time, in the order in which they
 * came: at once while nobody else asks for anything, else when the others have had most of the time.
 */
export function takeTurns(): Turns {
  const waiting: (() => void)[] = []
  let othersAsk = false
  let scheduled = false
  const release = (): void => {
    const start = performance.now()
    othersAsk = false
    waiting.shift()?.()
    setImmediate(() => goOn(performance.now() - start))
  }
  /** `took`: the turn of the event loop in which somebody went on, in ms. */
  const goOn = (took: number): void => {
    scheduled = waiting.length > 0
    if (!scheduled) return
    if (othersAsk) setTimeout(release, Math.min(Math.max(LEAST_MS, (PART - 1) * took), MOST_MS))
    else release()
  }
  return {
    small: () => void (othersAsk = true),
    next: () =>
      new Promise((resolve) => {
        waiting.push(resolve)
        if (scheduled) return
        scheduled = true
        setImmediate(goOn, 0)
      }),
  }
}
