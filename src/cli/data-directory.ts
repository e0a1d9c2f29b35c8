import { statSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import type { Command } from 'commander'
import { parse } from 'yaml'
import * as z from 'zod'
import { Fault } from '../gateway/fault.ts'

const DataConfig = z.object({ data: z.string().default('./sallyport-data') })
const PolicyConfig = z.object({ policies: z.string().default('./policies') })

/** The option of every command that works on the gateway's own files: whoever may read those needs no token. */
export function withDataOption(command: Command): Command {
  return command.option('--config <file>', 'the config of the gateway (or SALLYPORT_CONFIG)')
}

/** The config file that is meant. Fault `usage` when none is given. */
export function configFile(given: string | undefined, environment: NodeJS.ProcessEnv = process.env): string {
  const file = given ?? environment.SALLYPORT_CONFIG
  if (file === undefined) throw new Fault('usage', 'Say which gateway: --config FILE or SALLYPORT_CONFIG=FILE.')
  return file
}

/** The data directory that a config file names. Reads nothing else of it: an auditor has none of its secrets. */
export async function dataDirectory(file: string): Promise<string> {
  try {
    const { data } = DataConfig.parse(parse(await readFile(file, 'utf8')))
    return resolve(dirname(file), data)
  } catch (error) {
    throw new Fault('config', `${file} cannot be read as a config: \`sallyport check\` says why.`, error)
  }
}

/** The directory of policies that a config file names, whatever else is wrong with it; undefined when there is none. */
export async function policyDirectory(file: string): Promise<string | undefined> {
  try {
    const { policies } = PolicyConfig.parse(parse(await readFile(file, 'utf8')))
    const directory = resolve(dirname(file), policies)
    return statSync(directory).isDirectory() ? directory : undefined
  } catch {
    return undefined
  }
}
