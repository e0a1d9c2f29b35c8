/** How many connections may stand at the door at once. */
export type StrangerLimits = { readonly total: number; readonly perAddress: number }

/** Lets a connection in that has not said yet who it is; undefined when too many have not. Called, it counts no more. */
export type Door = (address: string) => (() => void) | undefined

export function door({ total, perAddress }: StrangerLimits): Door {
  const waiting = new Map<string, number>()
  let all = 0
  return (address) => {
    const own = waiting.get(address) ?? 0
    if (all >= total || own >= perAddress) return undefined
    waiting.set(address, own + 1)
    all++
    let gone = false
    return () => {
      if (gone) return
      gone = true
      all--
      const left = (waiting.get(address) ?? 1) - 1
      if (left > 0) waiting.set(address, left)
      else waiting.delete(address)
    }
  }
}
