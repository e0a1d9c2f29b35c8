import type { PolicyText } from './split-policies.ts'

/** Cedar's engine dies for good of deeper or longer expressions (its stack overflows); far above what a rule needs. */
const DEEPEST = 30
const MOST_OPERATORS = 150

const NOISE = /\/\/[^\n]*|"[^"\\]*(?:\\[^][^"\\]*)*"?/g
const OPERATOR = /&&|\|\||[-+*.!]|[<>=]=?|\b(?:if|in|is|has|like)\b/g

/** Why a policy is too deep or too long for Cedar to be asked about, or undefined. */
export function beyondLimits({ text }: PolicyText): string | undefined {
  const code = text.replace(NOISE, ' ')
  let depth = 0
  let deepest = 0
  for (const [bracket] of code.matchAll(/[[\](){}]/g)) {
    depth += '[({'.includes(bracket) ? 1 : -1
    deepest = Math.max(deepest, depth)
  }
  if (deepest > DEEPEST) return `brackets are nested ${deepest} deep, at most ${DEEPEST} are allowed`
  const operators = [...code.matchAll(OPERATOR)].length
  return operators > MOST_OPERATORS
    ? `the policy has ${operators} operators, at most ${MOST_OPERATORS} are allowed: split it`
    : undefined
}
