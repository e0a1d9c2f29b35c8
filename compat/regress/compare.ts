/** Lines that only one of the two has, at one place. */
export type Difference = { readonly direct: readonly string[]; readonly through: readonly string[] }

/** What no two runs print alike: numbers of processes, and what the server had in its cache (EXPLAIN ANALYZE, from 18 on). */
const UNLIKE: readonly (readonly [RegExp, string])[] = [
  [/(received from server process with PID )\d+/g, '$1PID'],
  [/^ *Buffers: .*\n/gm, ''],
]
/** So far ahead is looked for where two texts meet again. */
const AHEAD = 400

export function differences(direct: string, through: string): readonly Difference[] {
  const [a, b] = [linesOf(direct), linesOf(through)]
  const found: Difference[] = []
  let [i, j] = [0, 0]
  while (i < a.length || j < b.length) {
    if (a[i] === b[j]) {
      i++
      j++
      continue
    }
    const [skipA, skipB] = meeting(a, b, i, j)
    found.push({ direct: a.slice(i, i + skipA), through: b.slice(j, j + skipB) })
    i += skipA
    j += skipB
  }
  return found
}

/** How many lines of each to leave out until both say the same two lines again: as few as possible. */
function meeting(a: readonly string[], b: readonly string[], i: number, j: number): readonly [number, number] {
  for (let sum = 1; sum < AHEAD; sum++) {
    for (let skipA = 0; skipA <= sum; skipA++) {
      const [x, y] = [i + skipA, j + sum - skipA]
      if (x <= a.length && y <= b.length && a[x] === b[y] && a[x + 1] === b[y + 1]) return [skipA, sum - skipA]
    }
  }
  return [a.length - i, b.length - j]
}

function linesOf(text: string): readonly string[] {
  return UNLIKE.reduce((rest, [pattern, instead]) => rest.replaceAll(pattern, instead), text).split('\n')
}
