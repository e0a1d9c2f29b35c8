import { Secret } from '../gateway/secret.ts'

/** True when two values of a config mean the same; secrets are compared by what they hold. */
export function same(one: unknown, other: unknown): boolean {
  if (!isObject(one) || !isObject(other)) return Object.is(one, other)
  if (Object.getPrototypeOf(one) !== Object.getPrototypeOf(other)) return false
  if (one instanceof Secret) return one.reveal() === (other as unknown as Secret).reveal()
  if (one instanceof URL) return one.href === (other as unknown as URL).href
  const keys = new Set([...Object.keys(one), ...Object.keys(other)])
  return [...keys].every((key) => same(one[key], other[key]))
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null
}
