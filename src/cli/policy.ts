import type { Command } from 'commander'
import { schemaText } from '../policy/schema.ts'

const EXAMPLES = `
Example:
  sallyport policy schema > sallyport.cedarschema`

/** `sallyport policy schema`. */
export function addPolicy(program: Command): void {
  const policy = program
    .command('policy')
    .description('the policies and what they are written against')
    .addHelpText('after', EXAMPLES)
  policy
    .command('schema')
    .description('print the Cedar schema that every policy is validated against')
    .addHelpText('after', EXAMPLES)
    .action(() => void process.stdout.write(schemaText()))
}
