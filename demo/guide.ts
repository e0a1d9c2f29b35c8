import { BIN } from './commands.ts'
import { tokenFile, type Demo } from './start.ts'

/** What to paste into which terminal, and what to look for. */
export function guide({ directory, gateway }: Demo): string {
  const { port } = gateway.running.postgres
  const psql = `psql "host=127.0.0.1 port=${port} dbname=orders user=report-bot sslmode=require"`
  return `
In a second terminal, be the agent. What it sends as its password is a token of the identity provider:

    PGPASSWORD=$(cat ${tokenFile(directory, 'report-bot')}) ${psql}

    SELECT id, name, email, card, notes FROM customers LIMIT 5;          masked: columns, and what is found in free text
    SELECT name FROM customers WHERE card LIKE '4111%';                  refused: it would tell what is masked
    SELECT * FROM best_sellers;                                          nothing sensitive, nothing masked
    DROP TABLE orders;                                                   denied, with the rule and what to do instead
    UPDATE customers SET points = 0;                                     denied: no WHERE
    UPDATE customers SET points = points + 100 WHERE id IN (3, 5, 8);    held: it waits for somebody of the group dba

In a third terminal, be the approver:

    export PATH="${BIN}:$PATH" SALLYPORT_CONFIG=${gateway.config}
    export SALLYPORT_TOKEN=$(cat ${tokenFile(directory, 'grace')})
    sallyport approvals --state pending
    sallyport approve apr_…              the id is in the list, and in the agent's terminal

    SALLYPORT_TOKEN=$(cat ${tokenFile(directory, 'ada')}) sallyport approve apr_…
                                         refused: it is Ada's own agent that asks

Afterwards, see what was recorded, and that nothing of it was changed:

    sallyport sessions
    sallyport replay ses_…
    sallyport audit verify --checkpoint ${gateway.checkpoints}

Config, policies and log are in ${directory}.
Ctrl-C ends the demo and removes it all.`
}
