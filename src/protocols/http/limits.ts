/** Bytes of the head of a request; a token alone may have 16 KiB. */
export const HEAD_BYTES = 24 * 1024
/** Bytes of the body of a request: it is read whole, decided on whole, and part of what an approval covers. */
export const REQUEST_BYTES = 1024 * 1024
/** Bytes of an answer that is searched: it is held whole until it was. */
export const SEARCHED_BYTES = 8 * 1024 * 1024
/** For a whole request of a client, in ms. */
export const REQUEST_MS = 60_000
/** How long a connection may rest between two requests; its sessions and leases live as long. */
export const REST_MS = 60_000
/** How long a target may say nothing, in ms. */
export const SILENT_TARGET_MS = 60_000
/** Requests that wait on one connection behind the one that is answered. */
export const PIPELINED = 32
/** Sessions (pairs of target and token) on one connection. */
export const SESSIONS = 8
/** Connections to one target. */
export const TARGET_SOCKETS = 256
