/**
 * Pieces of bytes that go out one behind the other, as one: a view where they lie like that in memory already, as the
 * messages of one chunk do; else a copy.
 */
export function joined(pieces: readonly Buffer[]): Buffer {
  const [first, ...others] = merged(pieces)
  if (first === undefined) return Buffer.alloc(0)
  return others.length === 0 ? first : Buffer.concat([first, ...others])
}

/** As few pieces as the same bytes can be had in without a copy. */
function merged(pieces: readonly Buffer[]): Buffer[] {
  const runs: Buffer[] = []
  let from = 0
  for (let next = 1; next <= pieces.length; next++) {
    const last = pieces[next - 1]!
    if (next < pieces.length && follows(last, pieces[next]!)) continue
    runs.push(from === next - 1 ? last : span(pieces[from]!, last))
    from = next
  }
  return runs
}

function follows(one: Buffer, other: Buffer): boolean {
  return one.buffer === other.buffer && one.byteOffset + one.length === other.byteOffset
}

function span(first: Buffer, last: Buffer): Buffer {
  return Buffer.from(first.buffer, first.byteOffset, last.byteOffset + last.length - first.byteOffset)
}
