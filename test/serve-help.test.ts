import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { readFile, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { commandLine } from '../src/cli/command-line.ts'
import { sallyport } from './command.ts'

const COMMANDS = [
  'serve',
  'check',
  'token',
  'token create',
  'approvals',
  'approve',
  'reject',
  'sessions',
  'reload',
  'replay',
  'audit',
  'audit verify',
  'audit export',
  'policy',
  'policy schema',
]

describe('the command, to somebody new', () => {
  let directory: string
  let config: string
  before(async () => {
    directory = await mkdtemp(join(tmpdir(), 'sallyport-help-'))
    config = join(directory, 'sallyport.yaml')
    await writeFile(config, 'version: 1\n')
  })
  after(() => rm(directory, { recursive: true, force: true }))

  it('lists its commands and shows an example', async () => {
    const { code, stdout } = await sallyport(['--help'])
    assert.equal(code, 0)
    for (const command of COMMANDS) assert.match(stdout, new RegExp(`^  ${command.split(' ')[0]}\\b`, 'm'))
    assert.match(stdout, /^ {2}sallyport serve --config/m)
  })

  for (const command of COMMANDS) {
    it(`has help with an example for ${command}`, () => {
      const help = helpOf(command)
      assert.match(help, new RegExp(`^Usage: sallyport ${command}\\b`))
      assert.match(help, new RegExp(`^ {2}(PGPASSWORD=\\$\\()?sallyport ${command}\\b`, 'm'))
    })
  }

  it('shows the help of a command on standard output', async () => {
    const { code, stdout, stderr } = await sallyport(['token', 'create', '--help'])
    assert.deepEqual([code, stdout, stderr], [0, helpOf('token create'), ''])
  })

  it('prints its version', async () => {
    const manifest = await readFile(join(import.meta.dirname, '..', 'package.json'), 'utf8')
    const { version } = JSON.parse(manifest) as { version: string }
    assert.deepEqual(await sallyport(['--version']), { code: 0, stdout: `${version}\n`, stderr: '' })
  })

  it('exits with 2 for wrong usage, and says on standard error what is wrong', async () => {
    for (const [line, said] of [
      ['', /Usage: sallyport/],
      ['frobnicate', /unknown command 'frobnicate'/],
      ['serve --frobnicate', /unknown option '--frobnicate'/],
      ['serve', /--config FILE or SALLYPORT_CONFIG/],
      ['replay', /missing required argument 'session'/],
      ['token create --agent a --user b', /cannot be used with option/],
    ] as const) {
      const { code, stdout, stderr } = await sallyport(line.split(' ').filter(Boolean))
      assert.deepEqual([line, code, stdout], [line, 2, ''])
      assert.match(stderr, said)
    }
  })

  it('exits with 1 for what fails, in one line without a stack', async () => {
    for (const line of [
      'serve --config /nowhere',
      'token create --user a --config /nowhere',
      'replay ses_x --config /nowhere',
    ]) {
      const { code, stdout, stderr } = await sallyport(line.split(' '))
      assert.deepEqual([line, code, stdout], [line, 1, ''])
      assert.match(stderr, /^sallyport: .*\/nowhere.*\n$/)
    }
  })

  it('makes a token for an agent and for a person, also as JSON', async () => {
    const environment = { SALLYPORT_CONFIG: config }
    const agent = await sallyport(
      ['token', 'create', '--agent', 'bot', '--group', 'a', 'b', '--person', 'ada@example.com', '--for', '15m'],
      environment,
    )
    assert.equal(agent.code, 0)
    const claims = JSON.parse(Buffer.from(agent.stdout.split('.')[1]!, 'base64url').toString()) as Record<
      string,
      unknown
    >
    const { kind, sub, groups, person, exp, iat } = claims
    assert.deepEqual(
      [kind, sub, groups, person, Number(exp) - Number(iat)],
      ['Agent', 'bot', ['a', 'b'], 'ada@example.com', 900],
    )
    const user = await sallyport(['token', 'create', '--user', 'ada', '--json'], environment)
    const { token, ...rest } = JSON.parse(user.stdout) as { token: string }
    assert.deepEqual([token.split('.').length, rest], [3, { name: 'ada', kind: 'User' }])
    for (const wrong of [
      [],
      ['--agent', 'a b'],
      ['--user', 'ada', '--for', '31d'],
      ['--user', 'ada', '--for', 'long'],
    ]) {
      assert.equal((await sallyport(['token', 'create', ...wrong], environment)).code, 2)
    }
  })
})

function helpOf(command: string): string {
  let help = ''
  let found = commandLine()
  for (const name of command.split(' ')) found = found.commands.find((each) => each.name() === name)!
  found.configureOutput({ writeOut: (text) => void (help += text) }).outputHelp()
  return help
}
