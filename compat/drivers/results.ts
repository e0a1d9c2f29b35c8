/** How each test ended, by its name: undefined when it passed, else what it said. */
export type Results = ReadonlyMap<string, string | undefined>

const MARK = '{"test":'

/** Prints how a test ended, on a line that `readResults` knows from what the test prints itself. */
export function tellResult(test: string, failure: string | undefined): void {
  process.stdout.write(`\n${JSON.stringify({ test, failure })}\n`)
}

export function readResults(output: string): Results {
  const lines = output.split('\n').filter((line) => line.startsWith(MARK))
  const results = lines.map((line) => JSON.parse(line) as { readonly test: string; readonly failure?: string })
  return new Map(results.map(({ test, failure }) => [test, failure]))
}

/** What a program printed besides its results. */
export function restOf(output: string): string {
  return output
    .split('\n')
    .filter((line) => !line.startsWith(MARK))
    .join('\n')
    .trim()
}
