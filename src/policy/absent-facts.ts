import type { PolicyJson } from '@cedar-policy/cedar-wasm/nodejs'

function* hasTests(expression: unknown): Generator<{ left: unknown; attr: string | readonly string[] }> {
  if (typeof expression !== 'object' || expression === null) return
  for (const [operator, operand] of Object.entries(expression)) {
    if (operator === 'has' && typeof operand === 'object' && operand !== null && 'attr' in operand) yield operand
    yield* hasTests(operand)
  }
}

/**
 * Names tested with `has` that nothing can have. Cedar accepts such a test as always false, so a forbid that uses one
 * would silently never apply. Only `context` has attributes in this schema; arguments are tags (`hasTag`).
 */
export function absentFacts(policy: PolicyJson, contextFacts: ReadonlySet<string>): readonly string[] {
  const absent = [...hasTests(policy.conditions)].flatMap(({ left, attr }) => {
    const path = typeof attr === 'string' ? [attr] : attr
    const onContext = typeof left === 'object' && left !== null && 'Var' in left && left.Var === 'context'
    return onContext && path.length === 1 && contextFacts.has(path[0]!) ? [] : [path.join('.')]
  })
  return [...new Set(absent)]
}
