import { syncBuiltinESMExports } from 'node:module'
import net, { type Socket } from 'node:net'
import { Duplex } from 'node:stream'

/** The end of a connection that is not the gateway's. Nothing is told to whoever holds it before its turn of the event loop. */
export interface Line {
  /** `address:port`, as the gateway sees it. */
  readonly address: string
  write(bytes: Buffer): void
  end(): void
  destroy(): void
  resetAndDestroy(): void
}

/** What the holder of a line is told. */
export type Hearing = {
  readonly heard: (bytes: Buffer) => void
  readonly ended: () => void
  /** The last word: nothing more is heard, and nothing that is written arrives. */
  readonly closed: () => void
}

/** Ports of connections in memory begin where those of TCP end. */
const FIRST_PORT = 65_536

const LOOPBACK = '127.0.0.1'

/** A line over TCP. */
export function overTcp(socket: Socket, { heard, ended, closed }: Hearing): Line {
  socket.on('error', () => undefined)
  socket.on('data', heard).on('end', ended).on('close', closed)
  return {
    address: `127.0.0.1:${socket.localPort}`,
    write: (bytes) => void (socket.writable && socket.write(bytes)),
    end: () => void socket.end(),
    destroy: () => void socket.destroy(),
    resetAndDestroy: () => void socket.resetAndDestroy(),
  }
}

/**
 * A connection without the kernel: what costs most of a fuzzer's time otherwise. The gateway's end is a stream as a
 * socket is one, with its half-open states, back-pressure and errors.
 */
export class Wire extends Duplex {
  readonly #port: number
  readonly #far: Hearing
  /** What has come and was not read; null is its end. */
  readonly #arrived: (Buffer | null)[] = []
  #arrivedAll = false
  #wanted = false
  #farClosed = false

  /** `connects`: the gateway has dialled, and is told when it is through. */
  constructor(far: Hearing, number: number, connects = false) {
    super({ allowHalfOpen: false })
    this.#far = far
    this.#port = FIRST_PORT + number
    if (connects) setImmediate(() => void (this.destroyed || this.emit('connect')))
  }

  /** The other end. */
  get line(): Line {
    const gone = (): void => this.#closeFar()
    return {
      address: `${LOOPBACK}:${this.#port}`,
      write: (bytes) => void (this.#farClosed || this.#later(() => this.#arrive(bytes))),
      end: () => this.#later(() => this.#arrive(null)),
      destroy: () => this.#later(() => (gone(), this.#arrive(null))),
      resetAndDestroy: () => this.#later(() => (gone(), this.destroy(broken('ECONNRESET')))),
    }
  }

  /** As with a socket, nobody knows once it is closed. */
  get remoteAddress(): string | undefined {
    return this.destroyed ? undefined : LOOPBACK
  }

  get remotePort(): number | undefined {
    return this.destroyed ? undefined : this.#port
  }

  setNoDelay(): this {
    return this
  }

  override _read(): void {
    this.#wanted = true
    this.#flow()
  }

  override _write(bytes: Buffer, _encoding: string, done: (error?: Error) => void): void {
    if (this.#farClosed) return done(broken('EPIPE'))
    this.#later(() => {
      if (!this.#farClosed) this.#far.heard(bytes)
      done()
    })
  }

  override _writev(pieces: readonly { readonly chunk: Buffer }[], done: (error?: Error) => void): void {
    this._write(Buffer.concat(pieces.map(({ chunk }) => chunk)), '', done)
  }

  override _final(done: () => void): void {
    this.#later(() => {
      if (!this.#farClosed) this.#far.ended()
      done()
      // Whoever hears the end of a socket ends it too.
      this.#arrive(null)
    })
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.#later(() => this.#closeFar())
    done(error)
  }

  #later(happens: () => void): void {
    setImmediate(happens)
  }

  #arrive(bytes: Buffer | null): void {
    if (this.destroyed || this.#arrivedAll) return
    this.#arrivedAll = bytes === null
    this.#arrived.push(bytes)
    if (this.#wanted) this.#flow()
  }

  #flow(): void {
    while (this.#wanted && this.#arrived.length > 0) this.#wanted = this.push(this.#arrived.shift())
  }

  #closeFar(): void {
    if (this.#farClosed) return
    this.#farClosed = true
    this.#far.closed()
  }
}

function broken(code: string): Error {
  return Object.assign(new Error(code), { code })
}

/** Until disposed, whatever this thread connects to that port is what `dial` says; undefined: a connection over TCP. */
export function interceptConnections(port: number, dial: () => Wire | undefined): Disposable {
  const real = net.connect
  const intercepting = (...args: Parameters<typeof net.connect>): Socket => {
    const [options] = args as readonly unknown[]
    const asked = typeof options === 'object' && options !== null && 'port' in options ? options.port : undefined
    const wire = asked === port ? dial() : undefined
    return wire ? (wire as unknown as Socket) : real(...args)
  }
  const put = (connect: typeof net.connect): void => {
    Object.assign(net, { connect })
    syncBuiltinESMExports()
  }
  put(intercepting as typeof net.connect)
  return { [Symbol.dispose]: () => put(real) }
}
