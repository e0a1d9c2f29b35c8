import type { ApprovalId } from '../gateway/domain.ts'

/** Wakes those of this process who wait for an approval; other gateways notice by reading the store. */
export type Bell = {
  /** Listens until disposed; `signal` aborts at the next ring. */
  listen(id: ApprovalId): Disposable & { readonly signal: AbortSignal }
  ring(id: ApprovalId): void
}

export function createBell(): Bell {
  const listeners = new Map<ApprovalId, Set<AbortController>>()
  return {
    listen: (id) => {
      const listener = new AbortController()
      const together = listeners.get(id) ?? new Set()
      listeners.set(id, together.add(listener))
      return {
        signal: listener.signal,
        [Symbol.dispose]: () => {
          together.delete(listener)
          if (together.size === 0 && listeners.get(id) === together) listeners.delete(id)
        },
      }
    },
    ring: (id) => listeners.get(id)?.forEach((listener) => listener.abort()),
  }
}
