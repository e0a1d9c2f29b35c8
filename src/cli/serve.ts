import type { Command } from 'commander'
import type { ReloadStatus } from '../reload.ts'
import type { Output, Running } from '../start.ts'
import { configFile, withDataOption } from './data-directory.ts'

const EXAMPLES = `
Examples:
  sallyport serve --config sallyport.yaml
  sallyport serve --config sallyport.yaml >> checkpoints.log     checkpoint lines leave the machine with stdout

Changes of the config and the policies are taken over while it runs, or refused whole; SIGHUP does so at once.`

/** `sallyport serve`. */
export function addServe(program: Command): void {
  withDataOption(program.command('serve').description('run the gateway').addHelpText('after', EXAMPLES)).action(
    async (options: { readonly config?: string }) => {
      const { startGateway } = await import('../start.ts') // all of the gateway: not for --help
      const gateway = await startGateway(configFile(options.config), processOutput)
      process.on('SIGHUP', () => void gateway.reload().then(tellReload))
      console.log(banner(gateway))
      gateway.watch(tellReload)
      await drainOnSignal(gateway)
    },
  )
}

export const processOutput: Output = {
  checkpoint: (line) => console.log(line),
  warn: (line) => console.error(`${new Date().toISOString()} warning: ${line}`),
}

function tellReload({ policy, changed, refused }: ReloadStatus): void {
  if (refused) {
    processOutput.warn(['the changed config is refused, what was in force still is:', ...refused.errors].join('\n'))
  } else console.log(`reloaded: ${changed.join(', ') || 'nothing has changed'}; policies ${policy}`)
}

function banner({ config, url, tls, admin, postgres, http }: Running): string {
  const targets = config.targets.map(({ name }) => name).join(', ') || 'none'
  const alsoHttp = http ? `, http on ${http.host}:${http.port}` : ''
  return [
    `sallyport is ready: postgres on ${postgres.host}:${postgres.port}${alsoHttp}, admin on ${admin.host}:${admin.port}`,
    `  url ${url}, targets ${targets}, data ${config.data}`,
    `  certificate ${tls.selfSigned ? '(self-signed) ' : ''}sha256 ${tls.fingerprint}`,
  ].join('\n')
}

/** Resolves when the gateway has drained after SIGTERM or SIGINT; a second signal ends the process at once. */
async function drainOnSignal(gateway: Running): Promise<void> {
  const signal = await new Promise<string>((resolve) => {
    for (const name of ['SIGTERM', 'SIGINT']) process.once(name, () => resolve(name))
  })
  for (const name of ['SIGTERM', 'SIGINT']) process.once(name, () => process.exit(1))
  console.log(`${signal}: draining`)
  await gateway.drain()
  console.log('drained')
  process.exit(0)
}
