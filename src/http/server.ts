import { createServer, type RequestListener, type Server } from 'node:http'

/** A connection must say something within this time, and the head of a request be whole, in ms. */
export const SILENCE_MS = 10_000

export type ServerLimits = {
  /** For a whole request with its body, in ms. */
  readonly requestTimeoutMs: number
  readonly headersTimeoutMs?: number
  /** How long a connection may rest between two requests, in ms. */
  readonly keepAliveMs?: number
  /** Bytes of the head of a request. */
  readonly maxHeaderSize?: number
  readonly checkEveryMs?: number
}

/**
 * An HTTP server for connections that somebody else accepts (`emit('connection', socket)`). Node watches over the time-outs
 * of a server's requests only once it is said to listen.
 */
export function httpServer(limits: ServerLimits, answer: RequestListener): Server {
  const options = {
    requestTimeout: limits.requestTimeoutMs,
    headersTimeout: limits.headersTimeoutMs ?? SILENCE_MS,
    keepAliveTimeout: limits.keepAliveMs,
    maxHeaderSize: limits.maxHeaderSize,
    connectionsCheckingInterval: limits.checkEveryMs ?? 5_000,
  }
  const server = createServer(options, answer)
  server.maxHeadersCount = 0 // whole, or not at all: beyond a count node drops fields and says nothing
  server.emit('listening')
  return server
}
