import { ONSLAUGHTS, type OnslaughtName } from './onslaughts.ts'

/** The attacker's process: says when it has begun, goes on until its standard input ends, tells what came of it. */
const { port, token, name } = JSON.parse(process.argv[2]!) as { port: number; token: string; name: OnslaughtName }
let going = true
process.stdin.on('end', () => (going = false)).resume()

const outcome = await ONSLAUGHTS[name]({
  port,
  token,
  going: () => going,
  begun: () => console.log('begun'),
})
console.log(JSON.stringify(outcome))
process.exit(0)
