import type { Command } from 'commander'
import { schemaText } from '../policy/schema.ts'

/** `sallyport policy schema`. */
export function addPolicy(program: Command): void {
  const policy = program.command('policy').description('the policies and what they are written against')
  policy
    .command('schema')
    .description('print the Cedar schema that every policy is validated against')
    .addHelpText('after', '\nExample:\n  sallyport policy schema > sallyport.cedarschema')
    .action(() => void process.stdout.write(schemaText()))
}
