import { Command } from 'commander'
import { pg } from './drivers/pg.ts'
import { postgresjs } from './drivers/postgresjs.ts'
import { compareSuite } from './drivers/compare.ts'
import { compareScripts } from './regress/regress.ts'

const EXAMPLES = `
Examples:
  npm run compat -- pg ../node-postgres/packages/pg
  npm run compat -- regress ../postgres/src/test/regress/sql select join --keep /tmp/printed

Exit codes: 0 what differs is known, with its reason; 1 something else differs; 2 wrong usage.`

const program = new Command('npm run compat --')
  .description(
    'Runs the tests of others against a PostgreSQL 18, directly and through a gateway that permits everything.',
  )
  .addHelpText('after', EXAMPLES)
  .exitOverride((error) => process.exit(error.exitCode === 0 ? 0 : 2))

program
  .command('regress')
  .description("PostgreSQL's regression scripts by psql, or the program in PSQL: do both ways print the same?")
  .argument('<folder>', "src/test/regress/sql of PostgreSQL's source, or test/sql/postgres_regress of libpg_query's")
  .argument('[names...]', 'scripts, without .sql; all unless given')
  .option('--keep <directory>', 'keep what was printed')
  .action(async (folder: string, names: readonly string[], { keep }: { readonly keep?: string }) => {
    process.exitCode = (await compareScripts(folder, names, keep)) ? 0 : 1
  })

for (const suite of [pg, postgresjs]) {
  program
    .command(suite.name)
    .description(suite.about)
    .argument('<checkout>', 'what its tests require is installed')
    .action(async (checkout: string) => {
      process.exitCode = (await compareSuite(suite, checkout)) ? 0 : 1
    })
}

await program.parseAsync()
