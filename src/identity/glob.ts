/** True when all of `text` fits `pattern`, in which `*` stands for any characters. Linear: no backtracking. */
export function matchesGlob(pattern: string, text: string): boolean {
  const [first, ...rest] = pattern.split('*')
  const last = rest.pop()
  if (last === undefined) return text === pattern
  if (!text.startsWith(first!) || text.length < first!.length + last.length || !text.endsWith(last)) return false
  let from = first!.length
  for (const piece of rest) {
    const at = text.indexOf(piece, from)
    if (at === -1) return false
    from = at + piece.length
  }
  return from <= text.length - last.length
}
