import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'

/** User and system time that a process has used so far, all threads, in µs; undefined where there is no /proc. */
export function cpuTime(pid: number): number | undefined {
  const stat = read(`/proc/${pid}/stat`)
  if (stat === undefined) return undefined
  // The command's name stands in brackets and may hold anything: fields are counted from behind it.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  const [user, system] = [Number(fields[11]), Number(fields[12])]
  return ((user + system) * 1e6) / ticksPerSecond()
}

/** Memory that a process has in use, in KB (VmRSS); undefined where there is no /proc. */
export function residentMemory(pid: number): number | undefined {
  const line = /^VmRSS:\s+(\d+) kB$/m.exec(read(`/proc/${pid}/status`) ?? '')
  return line ? Number(line[1]) : undefined
}

function ticksPerSecond(): number {
  return Number(execFileSync('getconf', ['CLK_TCK'], { encoding: 'utf8' }))
}

function read(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return undefined
  }
}
