import assert from 'node:assert/strict'
import { connect, createServer, type AddressInfo } from 'node:net'
import { describe, it } from 'node:test'
import { httpServer } from './server.ts'

describe('httpServer', () => {
  it('gives up on a client that never ends the head of its request', async () => {
    const http = httpServer(
      { requestTimeoutMs: 100, headersTimeoutMs: 50, checkEveryMs: 20 },
      (_request, response) => void response.end(),
    )
    const door = createServer((socket) => void http.emit('connection', socket))
    await new Promise<void>((resolve) => void door.listen(0, '127.0.0.1', resolve))
    const socket = connect((door.address() as AddressInfo).port, '127.0.0.1', () =>
      socket.write('GET / HTTP/1.1\r\nHost: a\r\n'),
    )
    const said = Buffer.concat((await socket.toArray()) as Buffer[]).toString()
    assert.match(said, /^HTTP\/1\.1 408 /)
    door.close()
  })
})
