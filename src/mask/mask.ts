import type { Span } from './detector.ts'
import { DETECTORS } from './detectors.ts'
import type { DetectorName } from './detectors.ts'
import type { Masker } from './masker.ts'

const STARS = Buffer.from('***')
/** A text with so many findings of one kind is replaced whole: each takes memory, and texts can have 256 MiB. */
const MOST_FOUND = 100_000

/**
 * `hidden`: the data classes that the session's identity must not see. `detect`: what is looked for in free text,
 * whatever its column.
 */
export function createMasker(options: {
  readonly hidden: readonly string[]
  readonly detect: readonly DetectorName[]
}): Masker {
  const hidden = new Set(options.hidden)
  const detectors = options.detect.map((name) => DETECTORS[name])
  return {
    detects: detectors.length > 0,
    hides: (classes) => classes.some((name) => hidden.has(name)),
    text: (value) => {
      let found: Span[] | undefined
      for (const { find } of detectors) {
        const spans = find(value, MOST_FOUND)
        if (spans && spans.length >= MOST_FOUND) return STARS
        if (spans) found = found ? found.concat(spans) : [...spans]
      }
      return found && withStars(value, found)
    },
    suspects: (bytes) => detectors.some(({ suspects }) => suspects(bytes)),
  }
}

/** Stars instead of each span; spans that overlap become one. */
function withStars(value: Uint8Array, spans: Span[]): Uint8Array {
  const pieces: Uint8Array[] = []
  let kept = 0
  for (const { start, end } of merge(spans)) {
    pieces.push(value.subarray(kept, start), STARS)
    kept = end
  }
  pieces.push(value.subarray(kept))
  return Buffer.concat(pieces)
}

function merge(spans: Span[]): readonly Span[] {
  const merged: Span[] = []
  for (const span of spans.sort((a, b) => a.start - b.start)) {
    const last = merged.at(-1)
    if (last && span.start < last.end)
      merged[merged.length - 1] = { start: last.start, end: Math.max(last.end, span.end) }
    else merged.push(span)
  }
  return merged
}
