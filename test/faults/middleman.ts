import { once } from 'node:events'
import { connect, createServer, type AddressInfo, type Socket } from 'node:net'

/** `asked`: what the gateway sends; `answered`: what the target sends. */
export type Side = 'asked' | 'answered'

/**
 * What happens to the bytes that hold a text: `hold`: they and all behind them wait; `reset`, `end`: half of them is handed
 * on, then the connection breaks; bytes: these are handed on in their place.
 */
export type Trouble = 'hold' | 'reset' | 'end' | Buffer

/** A man in the middle of a gateway and its target. He changes nothing unless he is told to. */
export interface Middleman extends AsyncDisposable {
  readonly port: number
  /** Where he leads. */
  lead(port: number): void
  /** Once, when a text passes on this side; resolves when it has happened. */
  meet(side: Side, text: string, trouble: Trouble): Promise<void>
  /** Lets go of everything that he holds. */
  release(): void
  /** Every connection is reset, and nobody listens any more. */
  down(): Promise<void>
  /** Listens again, on the same port, where he does not yet. */
  up(): Promise<void>
  /** Connections that are open. */
  readonly count: () => number
}

type Order = { readonly side: Side; readonly text: string; readonly trouble: Trouble; readonly met: () => void }
/** One direction of one connection; `held`: what waits. */
type Lane = { readonly side: Side; readonly from: Socket; readonly to: Socket; held: Buffer[] | undefined }

export async function startMiddleman(): Promise<Middleman> {
  const lanes = new Set<Lane>()
  const orders = new Set<Order>()
  let target = 0
  const server = createServer({ noDelay: true }, (gateway) => {
    const other = connect({ host: '127.0.0.1', port: target, noDelay: true })
    open(lanes, orders, { side: 'asked', from: gateway, to: other, held: undefined })
    open(lanes, orders, { side: 'answered', from: other, to: gateway, held: undefined })
  })
  const listening = (port: number): Promise<unknown> => once(server.listen(port, '127.0.0.1'), 'listening')
  await listening(0)
  const { port } = server.address() as AddressInfo
  const down = async (): Promise<void> => {
    if (!server.listening) return
    const closed = once(server, 'close')
    server.close()
    for (const { from } of lanes) from.resetAndDestroy()
    await closed
  }
  return {
    port,
    lead: (to) => void (target = to),
    meet: (side, text, trouble) => new Promise((met) => orders.add({ side, text, trouble, met })),
    release: () => lanes.forEach(letGo),
    down,
    up: async () => void (server.listening || (await listening(port))),
    count: () => lanes.size / 2,
    [Symbol.asyncDispose]: down,
  }
}

function open(lanes: Set<Lane>, orders: Set<Order>, lane: Lane): void {
  lanes.add(lane)
  const { from, to } = lane
  from.on('data', (bytes: Buffer) => pass(orders, lane, bytes))
  from.on('end', () => to.end())
  from.on('error', () => to.resetAndDestroy())
  from.on('close', () => {
    lanes.delete(lane)
    to.destroySoon()
  })
}

function pass(orders: Set<Order>, lane: Lane, bytes: Buffer): void {
  const order = [...orders].find(({ side, text }) => side === lane.side && bytes.includes(text))
  if (order && orders.delete(order)) meet(order, lane, bytes)
  else if (lane.held) lane.held.push(bytes)
  else lane.to.write(bytes)
}

function meet({ trouble, text, met }: Order, lane: Lane, bytes: Buffer): void {
  const { from, to } = lane
  if (trouble === 'hold') lane.held = [bytes]
  else if (typeof trouble === 'string') {
    to.write(bytes.subarray(0, bytes.indexOf(text) + text.length))
    // The half is to arrive before the end of it does.
    setTimeout(() => [from, to].forEach((socket) => (trouble === 'end' ? socket.end() : socket.resetAndDestroy())), 50)
  } else to.write(trouble)
  met()
}

function letGo(lane: Lane): void {
  const { held, to } = lane
  lane.held = undefined
  for (const bytes of held ?? []) to.write(bytes)
}
