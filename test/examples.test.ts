import assert from 'node:assert/strict'
import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { sallyport, type Ended } from './command.ts'

const ROOT = join(import.meta.dirname, '..')
const ADMIN = { ORDERS_ADMIN_URL: 'postgresql://sallyport:secret@127.0.0.1:5432/orders' }

describe('the configurations that the documentation shows', () => {
  let directory = ''
  before(async () => {
    directory = await mkdtemp(join(tmpdir(), 'sallyport-examples-'))
  })
  after(() => rm(directory, { recursive: true, force: true }))

  const check = (config: string, environment: NodeJS.ProcessEnv = ADMIN): Promise<Ended> =>
    sallyport(['check', '--config', config, '--offline'], environment)

  it('accepts the example as it stands', async () => {
    assert.deepEqual(await check(join(ROOT, 'examples', 'sallyport.yaml')), ended('All is well.\n'))
  })

  it('accepts the example with its identity provider', async () => {
    const copy = join(directory, 'example')
    await cp(join(ROOT, 'examples'), copy, { recursive: true })
    const file = join(copy, 'sallyport.yaml')
    const text = await readFile(file, 'utf8')
    const uncommented = text.replace(/^# (identity:\n)((?:#  .*\n)+)/m, (_, key: string, lines: string) => {
      return key + lines.replaceAll(/^# /gm, '')
    })
    assert.match(uncommented, /^identity:\n {2}- name: corp$/m)
    await writeFile(file, uncommented)
    assert.deepEqual(await check(file), ended('All is well.\n'))
  })

  it('accepts the config and the policies of the README', async () => {
    const file = await write('readme', await blocks('README.md', 'yaml'), await blocks('README.md', 'cedar'))
    assert.deepEqual(await check(file), ended('All is well.\n'))
  })

  it('accepts the config and the policies of the guide to the first target', async () => {
    const page = 'docs/guides/first-target.md'
    const file = await write('first-target', await blocks(page, 'yaml'), await blocks(page, 'cedar'))
    for (const name of ['tls.crt', 'tls.key']) await writeFile(join(directory, 'first-target', name), 'PEM')
    assert.deepEqual(await check(file), ended('All is well.\n'))
  })

  it('accepts the policies of the guide to approvals', async () => {
    const policies = await blocks('docs/guides/approvals.md', 'cedar')
    const file = await write('approvals', await blocks('README.md', 'yaml'), policies)
    assert.deepEqual(await check(file), ended('All is well.\n'))
  })

  it('says what is missing where the secret is empty', async () => {
    const { code, stdout } = await check(join(ROOT, 'examples', 'sallyport.yaml'), { ORDERS_ADMIN_URL: '' })
    assert.equal(code, 1)
    assert.match(stdout, /sallyport\.yaml:\d+: .*the environment variable ORDERS_ADMIN_URL is empty/)
  })

  async function write(name: string, config: string, policies: string): Promise<string> {
    const place = join(directory, name)
    await mkdir(join(place, 'policies'), { recursive: true })
    await writeFile(join(place, 'policies', 'all.cedar'), policies)
    await writeFile(join(place, 'sallyport.yaml'), config)
    return join(place, 'sallyport.yaml')
  }
})

function ended(stdout: string): Ended {
  return { code: 0, stdout, stderr: '' }
}

/** All code blocks of one language in a page, in order. */
async function blocks(page: string, language: string): Promise<string> {
  const text = await readFile(join(ROOT, page), 'utf8')
  const found = [...text.matchAll(new RegExp(`^\`\`\`${language}\\n([\\s\\S]*?)^\`\`\`$`, 'gm'))]
  assert.ok(found.length > 0, `${page} has no ${language}`)
  return found.map(([, block]) => block).join('\n')
}
